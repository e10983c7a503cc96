//! The cache with servers that die, stop, come back, or are cut off, and at its limits.
//!
//! Tests that only meddle with the network use the server in `DIPTYCH_TEST_MEMCACHED`, through a proxy of their own. Those that kill a server
//! start one from the program `memcached` in the path. Where either is missing they are skipped, except in CI.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is the report of a test")]

mod chaos;
mod counters;
mod leases;
mod outage;
mod partition;
mod proxy;
mod race;
mod round_trips;
mod scripted;
mod server;
mod stage;
mod values;
