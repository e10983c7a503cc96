//! The relay on the embedded stores, in memory and under paused time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is the report of a test")]

mod crash;
mod faulty;
mod gate;
mod leading;
mod losses;
mod publishing;
mod stage;
mod watermarks;
