//! The gRPC services, called by a client over TCP, with the embedded adapters as stores.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is the report of a test")]

mod age;
mod command_stream;
mod commands;
mod harness;
mod lists;
mod queries;
