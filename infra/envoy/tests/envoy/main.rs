//! The rendered configurations in a real Envoy: an edge, two gateways, and two instances of the services.
//!
//! `DIPTYCH_TEST_ENVOY` is the path of the binary. Without it the tests are skipped, except in CI.
#![cfg(test)]

mod admin;
mod backend;
mod calls;
mod curl;
mod drain;
mod harness;
mod hashing;
mod json;
mod limits;
mod process;
mod traces;
mod validate;
mod web;
