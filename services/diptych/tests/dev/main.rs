//! `diptych dev` as people run it: the real program, on real sockets.
#![cfg(test)]

mod calls;
mod mistakes;
#[path = "../support/process.rs"]
mod process;
mod shutdown;
