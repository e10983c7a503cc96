//! The gRPC faces, called by a real client over TCP, with the embedded adapters behind them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is the report of a test")]

mod command_stream;
mod commands;
mod harness;
mod lists;
mod queries;
