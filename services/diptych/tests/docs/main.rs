//! The pages of the documentation agree with the program: generated parts are current, names exist, examples work.
#![cfg(test)]

mod api;
mod blocks;
mod console;
mod generated;
mod lines;
mod metrics;
mod monitoring;
mod names;
mod pages;
#[path = "../support/process.rs"]
#[allow(dead_code, reason = "shared with the tests of `dev`, which use more of it")]
mod process;
