//! The projector on the embedded stores, in memory and under paused time, with the theatre as its domain.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is the report of a test")]

mod amended;
mod audit;
mod crash;
mod faulty;
mod generations;
mod group;
mod holes;
mod limits;
mod look;
mod news;
mod parking;
mod stage;
mod stores;
mod views;
mod workload;
