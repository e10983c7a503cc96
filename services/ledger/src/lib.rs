//! The ledger: rules and views as pure functions, and its gRPC face.
//!
//! Everything outside this crate, `proto/` and the binary is the same for any domain. [`Ledger`] is what the write and the read side are
//! started with; [`grpc`] is what callers talk to.

pub mod domain;
pub mod grpc;
pub mod views;

pub use domain::Ledger;
