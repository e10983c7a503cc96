//! The projector: folds events from the log into rows of views (G4, G5, G7).
//!
//! A member of the consumer group owns some partitions. One iteration of its loop:
//!
//! ```text
//!   records of all partitions
//!      -> decode each event once                                    apply.rs
//!      -> rows: from memory, or read table by table                 rows.rs
//!      -> fold, where row.position < event.position                 apply.rs
//!      -> write of all changed rows, oldest first                   durable.rs
//!      -> refresh of the cache, with an announcement of the         durable.rs
//!         progress of every view for waiting readers
//!      -> save of that progress, many times a second, in one call   pending_progress.rs
//!      -> commit of offsets, from time to time, in one call         consume.rs
//! ```
//!
//! Rows are stored first, and progress is announced and saved only for durable rows, so a crash between any two steps
//! repeats work and loses none. Repeats, rebalances and owners that do not know that they were replaced do no harm: a
//! row is absolute, its bytes at a position are always the same, and the larger position wins.
//!
//! A member whose stores are slow or down keeps its group membership alive and retries without limit, so its
//! partitions stay where their rows are in memory. A member that hangs in a call loses them.
//!
//! **Missing events.** Versions of a stream are dense. The table [`STREAM_VERSIONS`] holds the current version of each
//! stream, so an event that would skip a version is detected (`apply.rs`). So are skipped offsets, and a watermark
//! that names a last event which was not received (`missing_events.rs`). Missing events are read from the write
//! database (`catch_up.rs`).
//!
//! **Parking.** An event that cannot be decoded, folded or read parks its stream in the views concerned, with the
//! reason, and the rest of the partition continues (`park.rs`). A view of
//! [`Scope::Partition`](diptych_kernel::domain::Scope::Partition) mixes streams in a row, so there the whole view is
//! blocked in that partition. Parked streams are retried at start, and then later and later (`partition/retries.rs`):
//! page by page with the log polled in between, and no further than to the event at which every view fails.
//!
//! **New generations** of a view, and views that have fallen behind their partition, are filled from the write
//! database in small batches while the others continue with the log, and become live when they reach the partition's
//! mark.
//!
//! **Several sets of views.** Projectors that write the same tables are one consumer group. While versions of the
//! program with other generations replace each other, several groups run side by side, each with all partitions.
//! Tables of both, and the stream versions, are then written by both: what was said of owners that do not know that
//! they were replaced holds for them. What is stored as progress by one group is true for the other one, which
//! continues from it. A projector is ready once its views follow the log and nobody reads a table that it does not
//! write (`readiness.rs`), so that the last projector of a table stops after its last reader.

mod apply;
mod assign;
pub mod audit;
mod catch_up;
mod config;
mod consume;
mod durable;
mod engine;
mod error;
mod metrics;
mod missing_events;
mod park;
mod partition;
mod pending_progress;
mod readiness;
mod rebuilt_rows;
mod retry;
mod row_rebuild;
mod rows;
mod state;
mod stream_versions;
mod trace;

pub use config::{Ports, ProjectorConfig};
pub use consume::run;
pub use error::ProjectorError;
pub use readiness::wait_until_ready;
pub use state::ProjectorState;
pub use stream_versions::STREAM_VERSIONS;
