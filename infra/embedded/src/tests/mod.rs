//! Tests of the assembled adapters.

mod conformance;
mod test_env;
