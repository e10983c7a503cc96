//! The write path: one task that decides commands in memory and commits them in groups.
//!
//! # How a command goes
//!
//! ```text
//!   submit -> [ queue, bounded ] -> take all that wait -> load what is not held -> decide one after another
//!                  ^                                                                        |
//!                  |  fills meanwhile                    tell <- confirm refusals <- append all at once
//! ```
//!
//! One **sequencer** per process takes every command that waits, decides them in the order of their arrival on states that it holds
//! in memory, so that a command sees the events of those before it in the batch, and stores the whole batch with one append. Meanwhile the
//! queue fills, so the batches grow with the load and the price of a commit is shared; a hot stream is as fast as many cold ones.
//!
//! # What is kept
//!
//! - **G2 once.** The store takes a request id once. A repeated command gets the receipt of the first, in a batch, across batches, across
//!   processes; with other content it is refused. An append whose effect is not known is repeated until it is known; where that
//!   takes longer than [`SequencerConfig::commit_timeout`] the caller is told [`CommandError::OutcomeUnknown`], never a guess.
//! - **G3 whole.** A command's events are one unit of an append, and an append is all or none.
//! - **G8 refusals are true.** A state that is held in memory may be old: another process may have written. So a *no* (of a rule, or
//!   of an expected version) is only told once it is known to be true: the store has been asked, after the command arrived, whether the streams
//!   are where they were and whether the request id is new. A *no* that rests on events of the same batch is told after these are stored.
//!   A *yes* needs no such question, since the append itself refuses what rests on an old state: a command writes to every stream that it
//!   names, and the append checks each.
//!
//! Nothing here knows a domain; it is a type parameter.

mod config;
mod error;
mod handle;
mod lookup;
mod metrics;
mod patience;
mod retention;
mod sequencer;

pub use config::SequencerConfig;
pub use error::CommandError;
pub use handle::{CommandHandle, Done, Pending, Submission, start};
pub use metrics::describe_metrics;
pub use retention::forget_old_requests;
