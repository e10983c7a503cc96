//! The rows of views: one table per view and generation.

mod ensure_tables;
mod read;
mod scan;
mod scan_all;
mod statements;
mod tables;
mod write;

pub(crate) use tables::Tables;
