//! Tests of whole files.

mod files;
mod sample;

pub(in crate::import) use files::survey_text;
