//! The write path: a sequencer that decides commands in memory and commits them in groups.
//!
//! # The path of a command
//!
//! ```text
//!   submit -> [ queue, bounded ] -> take a batch -> load missing streams -> decide one after another
//!                  ^                                                                 |
//!                  |  fills meanwhile           reply <- store refusals <- append all at once
//! ```
//!
//! One **sequencer** per process takes all queued commands, decides them in the order of their arrival on states that
//! it holds in memory, so that a command sees the events of those before it in the batch, and stores the whole batch
//! with one append. Meanwhile the queue fills, so batches grow with the load and share the cost of a commit; a hot
//! stream is as fast as many cold ones.
//!
//! A stream to which other processes write at the same time is contended. Its commands go through a queue of their own
//! to a second sequencer, which decides them in turn with the other processes, several batches in each turn. No other
//! command waits for a turn, unless it is on a stream of one that does.
//!
//! # Guarantees
//!
//! - **G2 once.** The store accepts a request id once. A repeated command gets the outcome of the first, a receipt or a
//!   refusal, within a batch, across batches and across processes; with other content it is refused. An append with an
//!   unknown outcome is repeated until the outcome is known; if that takes longer than
//!   [`SequencerConfig::commit_timeout`], the caller gets [`CommandError::OutcomeUnknown`], never a guess.
//! - **G3 whole.** A command's events are one unit of an append, and an append is all or none.
//! - **G8 refusals are true.** A state in memory may be stale, as other processes write too. So a refusal (by a rule,
//!   or by an expected version) is sent only once it is stored under its request id: the store does so, after the
//!   command arrived, if the streams have the versions on which it was decided and the request id is new. A stored
//!   refusal claims the request id, so that what was refused is not committed later by an append that was in flight. A
//!   refusal that depends on events of the same batch is stored after these. An acceptance needs no confirmation, as
//!   the append itself rejects what was decided on a stale state: a command writes to every stream that it names, and
//!   the append checks each of them.
//!
//! Nothing here depends on a domain; it is a type parameter.

mod breaker;
mod config;
mod error;
mod handle;
mod metrics;
mod queueing;
mod receipts;
mod refusal;
mod retention;
mod retry_until;
mod sequencer;
mod submission;

pub use config::SequencerConfig;
pub use error::CommandError;
pub use handle::{CommandFuture, CommandHandle, start, start_with_queue};
pub use metrics::describe_metrics;
pub use queueing::{Executed, Execution, ExpectedOutcome, Queueable, QueuedReceipt, QueueingConfig, ReceiptState};
pub use retention::forget_old_requests;
pub use submission::{StoredCommand, Submission};
