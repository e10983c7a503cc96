//! Relay: publishes committed events to the log, in order, at least once.
//!
//! ```text
//!              lease acquired              log and cursor compared
//!   Standby ---------------> Resuming -------------------------------> Reading <-------------+
//!      ^                                                              |       |              |
//!      |                                                       events |       | no events    |
//!      |                                                              v       v              |
//!      |                                          +-------> Publishing       Idle -----------+
//!      |                                          |           |   ^              new events, or a watermark is due
//!      |                        events prefetched +-----------+   | reads unconfirmed
//!      |                                                      |   v
//!      |                                        cursor is due +-> MovingCursor
//!      |                                                              |
//!      +--------------------------------------------------------------+ fenced
//!
//!   Publishing, append of unknown outcome ---> Resuming
//! ```
//!
//! Invariants of every state (G4, G5):
//!
//! - Every record of a partition on the log is preceded by all events of that partition with a smaller position. So the
//!   last record of a partition shows everything that the partition holds, and a new leader resumes from it.
//! - The position read up to and the position published up to are separate fields. The cursor is stored from the second
//!   only, and that advances over acknowledged records only.
//! - After an append of unknown outcome, the log may have lost records that it had acknowledged. The relay compares log
//!   and cursor again, and publishes again whatever is not acknowledged.
//! - A lease belongs to a process, not to an instance name, and is extended beside the leader's work: a slow log, or a
//!   retry, does not end a leadership.
//! - Appending a record again is always allowed. Two leaders that overlap for a moment repeat events and watermarks;
//!   they never omit one.
//!
//! | question | file |
//! |---|---|
//! | the state machine: states, transitions, retries | `relay/mod.rs` |
//! | the owner of a lease, and a second process with its instance name | `lease_owner.rs` |
//! | the lease is extended beside the work of a leader | `lease_renewal.rs` |
//! | how a state acts: leases, resuming, stepping down | `relay/lease_steps.rs` |
//! | how a state acts: reading, publishing, moving the cursor, idling | `relay/publish_steps.rs` |
//! | the progress of a leader, and how events become a batch of records | `leadership.rs`, `batch.rs` |
//! | where a new leader starts | `resume.rs` |
//! | when a watermark is due | `idle_partitions.rs` |

mod batch;
mod config;
mod error;
mod high_watermark;
mod idle_partitions;
mod leadership;
mod lease_owner;
mod lease_renewal;
mod metrics;
mod relay;
mod resume;
mod trace;

pub use config::RelayConfig;
pub use error::RelayError;
pub use relay::run;
pub use resume::check_log_is_not_ahead;
