//! Every command and every query is one trace, as an OTLP receiver of the tests gets it: the whole pipeline, on the
//! embedded adapters.
//!
//! Tracing is set up once per process, so all tests share one installation, on a runtime that lives as long as the
//! process; each test checks the traces that it has begun.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic fails the test")]

mod harness;
mod installation;
mod scenarios;
