//! Tests of the assembled adapters.

mod backup;
mod checksums;
mod conformance;
pub(crate) mod fixtures;
mod history;
mod log_size;
mod older_files;
mod queue;
mod retention;
mod test_env;
