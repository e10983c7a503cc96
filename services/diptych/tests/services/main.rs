//! The services as processes without their servers: they log what they wait for, are alive, not ready, and stop when
//! asked.
#![cfg(test)]

mod draining;
mod envoy_drain;
mod help;
#[path = "../support/process.rs"]
#[allow(dead_code, reason = "shared with the tests of `dev`, which use more of it")]
mod process;
#[path = "../support/service.rs"]
#[allow(dead_code, reason = "shared with the tests on real servers, which use more of it")]
mod service;
mod without_servers;
mod wrong_address;
