//! The ledger, the domain that ships with Diptych: accounts, deposits, withdrawals and transfers.
//!
//! [`domain`] holds the business rules and [`views`] the read tables, both as pure functions. [`grpc`] implements the
//! command and query services. [`Ledger`] is the [`Domain`](diptych_kernel::domain::Domain) that the command service
//! and the projector are started with. Outside this crate, `proto/` and the binary, no code depends on the ledger.

pub mod domain;
pub mod grpc;
mod ledger;
mod timestamp;
pub mod views;

pub use ledger::Ledger;
