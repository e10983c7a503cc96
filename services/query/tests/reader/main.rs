//! The reader on the embedded read database and cache, in memory and under paused time: what a test sees depends on nothing but itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is the report of a test")]

mod cache;
mod failures;
mod faulty;
mod many;
mod news;
mod own_writes;
mod parked;
mod polling;
mod scan;
mod stage;
mod store;
