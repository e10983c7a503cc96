//! `diptych dev` as people run it: the real program, on real sockets.
#![cfg(test)]

mod calls;
mod json;
mod mistakes;
#[path = "../support/process.rs"]
mod process;
mod shutdown;
