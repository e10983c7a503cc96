//! The read database on ScyllaDB: rows of views, and the progress of each view.
//!
//! - Every write to the rows carries `USING TIMESTAMP position - 2^62`, so the row with the larger position wins
//!   whatever the order of arrival: see `timestamp`. Those tables have no conditional writes, counters, collections of
//!   several cells or expiring cells.
//! - A deleted row is written like any other, so it keeps its position for ever; there are no tombstones.
//! - The schema consists of numbered CQL files, which [`migrate`] applies under a lock; the tables of views are created
//!   by [`ViewStore::ensure_views`](diptych_kernel::ports::ViewStore::ensure_views).
//! - Apache Cassandra 5 has the same CQL, and the tests run against it. Features of ScyllaDB alone (shards, tablets)
//!   are handled by the driver.
//!
//! [`migrate`] needs lightweight transactions. ScyllaDB has them in keyspaces with tablets from 2025.4 on; before that,
//! create the keyspace manually with `tablets = {'enabled': false}`. An existing keyspace is used as it is.

mod config;
mod connection;
mod cql;
mod datacenter;
mod error;
mod history;
mod migration;
mod progress;
mod readers;
mod rows;
mod store;
mod timestamp;

pub use config::{Consistency, ScyllaConfig};
pub use history::{RebaseReport, check_rebase, rebase};
pub use migration::{MigrationReport, migrate};
pub use store::ScyllaViewStore;
