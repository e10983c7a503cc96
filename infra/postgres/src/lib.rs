//! The write database on Postgres: events, request ids, snapshots, the relay's lease and cursor.
//!
//! ```text
//!   append --+                     +--> writers: a small connection pool ------+
//!   lease  --+--> PostgresEventStore                                           +--> the host that allows writes
//!   load   --+                     +--> readers: another connection pool ------+    and acknowledges a commit
//!   read   --+                     |
//!   wait   --+                     +--> listener, notifier: one connection each, without data
//! ```
//!
//! # Position
//!
//! `position = (position_base + transaction id) << 20 | ordinal`. An append is one statement: it takes its
//! snapshot, compares the expected versions of its streams, and only then gets its transaction id; if the snapshot
//! did not show the newest version of a stream, the stream's row in the table `streams` cannot be moved, and the
//! append fails. So position grows with version along a stream. A reader gets no event at or above the horizon,
//! which is the `xmin` of its snapshot: every transaction below it has ended, and the same snapshot shows what it
//! committed. So no event can appear behind a cursor (G5). Any open transaction of the database that has written
//! holds readers back; a metric, the log and [`PostgresEventStore::oldest_writer`] name it. Those of other databases
//! do not: see `migrations/V8__read_horizon.sql`.
//!
//! # Segments
//!
//! The table of events consists of segments, which are ranges of positions. Appends write to the newest one; the next
//! one begins by raising `position_base`. `migrations/V4__event_segments.sql` says why positions still only grow.
//!
//! # Durability of reads
//!
//! After a restart, or when a commit's wait for the standby was cancelled, a transaction can be visible and exist on
//! one server only: *visible is not durable*. A later commit of this process that is acknowledged makes it durable, as
//! the WAL is sequential. So
//!
//! - every connection makes such a commit before it is used, which also avoids a server that cannot acknowledge one;
//! - what is read (receipts, streams, snapshots, pages of a partition) is returned at once if it is older than the last
//!   commit of this handle, and after another such commit otherwise;
//! - [`EventStore::read_after`](diptych_kernel::ports::EventStore::read_after) leaves that to its caller after the
//!   first connection, as it would cost a commit for each page: the relay's cursor is that commit;
//! - the outcome of a commit whose wait was cancelled is reported as unknown, not as done.
//!
//! Statements are never cancelled. Timeouts of the server end before the commit begins. After a timeout of the client
//! the connection is closed and the effect is unknown; it is resolved by loading the request ids again.

mod bare_insert;
mod clock;
mod command_queue;
mod config;
mod driver;
mod events;
mod metrics;
mod notifications;
mod rebase;
mod relay;
mod schema;
#[cfg(feature = "testing")]
pub mod testing;

pub use bare_insert::{BareInsertTables, BareInserter};
pub use config::PostgresConfig;
pub use events::{OldestWriter, PostgresEventStore, StoreStatus};
pub use rebase::{RebaseReport, rebase};
pub use schema::{MigrationReport, grant, installation, migrate};
