//! The read database on ScyllaDB: rows of views, and how far each view has got.
//!
//! - Every write to the rows carries `USING TIMESTAMP position - 2^62`, so the row with the larger position wins whatever the order of
//!   arrival: see `timestamp`. Nothing on those tables is conditional, counted, appended to or expires.
//! - A deleted row is written like any other, so it keeps its position for ever; there are no tombstones.
//! - The schema is numbered CQL files, which [`migrate`] applies under a lock; the tables of views are made by
//!   [`ViewStore::ensure_views`](diptych_kernel::ports::ViewStore::ensure_views).
//! - Apache Cassandra 5 speaks the same CQL, and the tests run against it. What ScyllaDB alone has (shards, tablets) is the driver's
//!   business.
//!
//! [`migrate`] needs lightweight transactions. ScyllaDB has them in keyspaces with tablets from 2025.4 on; before that, make the keyspace
//! by hand with `tablets = {'enabled': false}`. A keyspace that exists is used as it is.

mod config;
mod connection;
mod cql;
mod error;
mod migration;
mod progress;
mod rows;
mod store;
mod timestamp;

pub use config::{Consistency, ScyllaConfig};
pub use migration::{Migrated, migrate};
pub use store::ScyllaViewStore;
