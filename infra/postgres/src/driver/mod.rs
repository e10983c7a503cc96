//! Connections to Postgres: the driver, the pools, column types and errors.

mod columns;
mod connection;
mod error;
mod known_history;
mod pool;
mod pool_epoch;
mod target;

pub(crate) use columns::{SqlRow, Time, Uuid};
pub(crate) use connection::{ConnectionFactory, DriverConnection};
pub(crate) use error::{StatementError, corrupt_data, sql_state};
pub(crate) use known_history::{KnownEvent, KnownHistory};
pub(crate) use pool::{Pool, Session};
