//! `diptych dev` as a process, on real sockets.
#![cfg(test)]

mod bench_report;
mod calls;
mod folder;
mod import;
mod invalid;
mod json;
#[path = "../support/process.rs"]
mod process;
mod shutdown;
