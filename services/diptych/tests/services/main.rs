//! The services as people run them, without the servers that they need: they say what they wait for, live, are not ready, and stop.
#![cfg(test)]

mod draining;
mod help;
#[path = "../support/process.rs"]
#[allow(dead_code, reason = "shared with the tests of `dev`, which use more of it")]
mod process;
#[path = "../support/service.rs"]
#[allow(dead_code, reason = "shared with the tests on real servers, which use more of it")]
mod service;
mod waiting;
