//! The relay on the embedded stores, in memory and under paused time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests report failures by panicking")]

mod crashes;
mod data_loss;
mod faulty_stores;
mod gated_log;
mod harness;
mod leadership;
mod lossy_log;
mod publishing;
mod watermarks;
