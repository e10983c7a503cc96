//! One command is one trace, and one query is one, seen by a collector of the test's own: the whole way of the data, on the embedded adapters.
//!
//! Traces are set up once in a process, so all tests share one installation, on a runtime that lives as long as the process; each looks at the
//! traces that it has begun.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is the report of a test")]

mod installation;
mod scenes;
mod stage;
