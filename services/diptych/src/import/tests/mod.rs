//! Tests of the validation of whole files, and of the commands made from them.

mod files;
mod sample;

pub(in crate::import) use files::validate_text;
