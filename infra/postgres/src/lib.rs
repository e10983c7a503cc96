//! The write database on Postgres: events, request ids, snapshots, the relay's lease and cursor.
//!
//! ```text
//!   append --+                     +--> writers: a few prepared connections ---+
//!   lease  --+--> PostgresEventStore                                           +--> the host that allows writes
//!   load   --+                     +--> readers: some prepared connections ----+    and acknowledges a commit
//!   read   --+                     |
//!   wait   --+                     +--> listener, notifier: a connection each, which carry no data
//! ```
//!
//! # Position
//!
//! `position = (position_base + transaction id) << 20 | ordinal`. An append is one statement: it takes its snapshot, looks at the
//! versions that it builds on, and only then gets its transaction id; what it did not see runs into a unique index. So position grows with version
//! along a stream. A reader is shown nothing at or above `xmin` of the snapshot that it reads in: below it, every transaction is over, and the
//! same snapshot shows what it left. So nothing can appear behind a cursor (G5). Any transaction of the server that has written and stays
//! open holds readers back, also one in another database; [`PostgresEventStore::oldest_writer`] tells which, and so does the log.
//!
//! # What may be told
//!
//! After a restart, or where somebody cancelled a wait for the standby, a transaction can be visible and stand on one server only: *seen is not
//! safe*. A commit of one's own that comes later and is acknowledged makes it safe, as the log is one line. So
//!
//! - every connection makes such a commit before it is used, which also keeps away from a server that cannot acknowledge one;
//! - what is found (receipts, streams, snapshots, pieces of a partition) is told at once where it is older than the last commit of this
//!   handle, and after another such commit otherwise;
//! - [`EventStore::read_after`](diptych_kernel::ports::EventStore::read_after) leaves that to its caller after the first connection, as it
//!   would cost a commit for each piece: the relay's cursor is that commit;
//! - a commit whose wait was cancelled is reported as unknown, not as done.
//!
//! Nothing here cancels a statement. Timeouts of the server end before the commit begins, and a deadline that passes gives the connection
//! up: the effect is then unknown, and is found out by asking for the request ids again.

mod config;
mod events;
mod relay;
mod schema;
#[cfg(feature = "testing")]
pub mod testing;
mod wake;
mod wire;

pub use config::PostgresConfig;
pub use events::{OldestWriter, PostgresEventStore};
pub use schema::{Migrated, migrate};
