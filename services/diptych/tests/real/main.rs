//! The services on real servers: as four processes, and all in one.
//!
//! The addresses of the servers are `DIPTYCH_TEST_POSTGRES_URL`, `DIPTYCH_TEST_KAFKA`, `DIPTYCH_TEST_CQL` and
//! `DIPTYCH_TEST_MEMCACHED`. Every test has a database, a topic, a keyspace and a key prefix of its own.
#![cfg(test)]

mod all;
mod database;
#[path = "../support/gateway.rs"]
#[allow(dead_code, reason = "shared with the tests of the gateway, which use more of it")]
mod gateway;
mod installation;
mod migrate;
#[path = "../support/process.rs"]
#[allow(dead_code, reason = "shared with the tests of `dev`, which use more of it")]
mod process;
mod restore;
#[path = "../support/service.rs"]
#[allow(dead_code, reason = "shared with the tests without servers, which use more of it")]
mod service;
mod service_processes;
mod services;
