//! The projector: folds events from the log into rows of views (G4, G5, G7).
//!
//! A member of the consumer group owns some partitions. One turn of its loop:
//!
//! ```text
//!   records of all partitions
//!      -> decode each event once                                    apply.rs
//!      -> rows: from memory, or one read per view                   rows.rs
//!      -> fold, where row.position < event.position                 apply.rs
//!      -> one write of all changed rows                             durable.rs
//!      -> the cache, and through it to those who wait how far      durable.rs
//!         every view is in every partition
//!      -> the same saved, many times in a second, in one call      unsaved.rs
//!      -> offsets, now and then, in one call                        consume.rs
//! ```
//!
//! Rows come first, and progress is told and saved of durable rows only, so a crash between any two repeats work and loses none. Repeats, rebalances and
//! owners that do not know that they were replaced do no harm: a row is absolute, its bytes at a position are always the same, and
//! the larger position wins.
//!
//! A member whose stores are away tries again for as long as it takes, and lets the group know that it is alive, so its partitions stay where
//! their rows are in memory. One that hangs in a call loses them.
//!
//! **Gaps.** Versions of a stream are dense. The table [`STREAM_HEADS`] holds the version that each stream has got to, so an event that
//! would skip one is seen. So are missing offsets, and a watermark that names a last event which never came. What is missing
//! is read from the write side (`catch_up.rs`).
//!
//! **Parking.** An event that cannot be decoded, folded or had parks its stream in the views concerned, with the reason, and the rest of the
//! partition goes on (`park.rs`). A view of [`Scope::Partition`](diptych_kernel::domain::Scope::Partition) mixes streams in a row,
//! so there the whole view stands still in that partition. Parked streams are tried again at start and from time to time.
//!
//! **New generations** of a view, and views that have fallen behind their partition, are filled from the write side piece by piece while the
//! others go on with the log, and join them when they are as far.

mod apply;
mod assign;
pub mod audit;
mod catch_up;
mod config;
mod consume;
mod durable;
mod engine;
mod error;
mod gaps;
mod heads;
mod metrics;
mod park;
mod partition;
mod remake;
mod retry;
mod rows;
mod trace;
mod unsaved;

pub use config::{Ports, ProjectorConfig};
pub use consume::run;
pub use error::ProjectorError;
pub use heads::STREAM_HEADS;
