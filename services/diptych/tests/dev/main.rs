//! `diptych dev` as a process, on real sockets.
#![cfg(test)]

mod bench_report;
mod calls;
mod invalid;
mod json;
#[path = "../support/process.rs"]
mod process;
mod shutdown;
