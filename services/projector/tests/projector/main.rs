//! Tests of the projector on the embedded stores, in memory and with paused time, with the theatre as its domain.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is the report of a test")]

mod amended;
mod announcements;
mod audit;
mod crash;
mod faulty;
mod generations;
mod group;
mod harness;
mod limits;
mod missing_events;
mod parking;
mod read_side;
mod readiness;
mod side_by_side;
mod stores;
mod views;
mod workload;
mod written_once;
