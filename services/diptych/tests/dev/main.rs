//! `diptych dev` as people run it: the real program, on real sockets.
#![cfg(test)]

mod calls;
mod mistakes;
mod process;
mod shutdown;
