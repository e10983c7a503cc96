//! The rendered configurations in the real Envoy: an edge over two gateways, over two instances of the services.
//!
//! They need the binary: `DIPTYCH_TEST_ENVOY` says where it is. Without it they are skipped, except under CI.
#![cfg(test)]

mod admin;
mod backend;
mod calls;
mod curl;
mod drain;
mod hashing;
mod json;
mod limits;
mod process;
mod site;
mod traces;
mod validate;
mod web;
