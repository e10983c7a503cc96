//! The reader on the embedded read database and cache, in memory and under paused time, so that tests are
//! deterministic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests report failures by panicking")]

mod age;
mod announcements;
mod cache;
mod failures;
mod faulty;
mod filled;
mod harness;
mod many_rows;
mod own_writes;
mod parked;
mod polling;
mod registration;
mod scan;
mod switched;
