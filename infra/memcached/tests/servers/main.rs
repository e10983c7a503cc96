//! Tests of the cache with servers that crash, stop, come back or are cut off, and at its limits.
//!
//! Tests that only disturb the network use the server in `DIPTYCH_TEST_MEMCACHED`, through a proxy of their own. Those
//! that kill a server start the program `memcached` from the PATH. Where either is missing they are skipped, except in
//! CI.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is the report of a test")]

mod chaos;
mod counters;
mod harness;
mod leases;
mod outage;
mod partition;
mod proxy;
mod race;
mod round_trips;
mod scripted;
mod server;
mod values;
