//! The event log: what carries events from the write side to the read side.

use std::{future::Future, time::Duration};

use super::PortResult;
use crate::vocabulary::{Partition, Partitions, Position, RecordedEvent, Timestamp};

/// The place of a record in its partition of the log, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub u64);

/// Everything below a position is on the log, as of a time. The relay puts one on every partition that has been idle for a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermark {
    /// Every event of the partition up to here stands before this record.
    pub position: Position,
    /// The write database's time when that was so.
    pub as_of: Timestamp,
    /// The position of the last event of the partition, [`Position::START`] where it has none. Shows a lost record.
    pub last_event: Position,
}

/// What stands on the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogEntry {
    /// An event. Its key is the stream, its partition that of the stream.
    Event(RecordedEvent),
    /// A watermark of a partition.
    Watermark(Partition, Watermark),
}

impl LogEntry {
    /// Which partition it belongs on.
    #[must_use]
    pub fn partition(&self) -> Partition {
        match self {
            Self::Event(event) => event.partition,
            Self::Watermark(partition, _) => *partition,
        }
    }
}

/// An entry with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// Where it stands in its partition.
    pub offset: Offset,
    /// What it is.
    pub entry: LogEntry,
}

/// The end of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionEnd {
    /// Where the next record will stand; 0 where nothing was ever written.
    pub next_offset: Offset,
    /// The position of the last event on it, if it still holds one.
    pub last_event: Option<Position>,
}

/// A partition that the group gave to this member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The partition.
    pub partition: Partition,
    /// Where the group has got to: the next offset to read. 0 where it never committed.
    pub committed: Offset,
}

/// The answer to committing offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// They are stored.
    Committed,
    /// A partition among them now belongs to another member; nothing was stored.
    Fenced,
}

/// Holds a rebalance up while a member finishes its work on partitions that are taken from it. Dropping it lets the group go on.
/// The adapter bounds how long it waits.
#[derive(Debug)]
pub struct RevokeGuard(Option<Box<dyn ReleaseOnDrop>>);

/// What an adapter lets happen when a [`RevokeGuard`] is dropped: anything, in its own `Drop`.
trait ReleaseOnDrop: Send + std::fmt::Debug {}
impl<T: Send + std::fmt::Debug> ReleaseOnDrop for T {}

impl RevokeGuard {
    /// Drops `release` when the guard is dropped.
    pub fn new(release: impl Send + std::fmt::Debug + 'static) -> Self {
        Self(Some(Box::new(release)))
    }
}

impl Drop for RevokeGuard {
    fn drop(&mut self) {
        self.0.take();
    }
}

/// What a consumer hears.
#[derive(Debug)]
pub enum LogSignal {
    /// Records of one or more partitions, in order within each. Never empty.
    Records(Vec<LogRecord>),
    /// These partitions are this member's now. Nothing is read of one until [`Consumer::seek`] is called for it.
    Assigned(Vec<Assignment>),
    /// These partitions will be another's. No record of them follows. Finish or drop what is in flight, then drop the guard.
    Revoked(Vec<Partition>, RevokeGuard),
    /// Nothing came within the caller's patience.
    Idle,
}

/// The event log.
///
/// - Per partition, records keep the order in which they were appended, by one appender after another.
/// - **At least once**: an append whose effect is unknown may be there; appending again is right, and readers know repeats by position.
/// - A record that was acknowledged survives, and is read by every group, until retention takes it.
/// - Members of a group share the partitions: each has one owner at a time as far as offsets are concerned. A member that was paused may still
///   believe that it owns one: only its commit is fenced, so what it writes elsewhere must be harmless.
pub trait EventLog: Send + Sync + 'static {
    /// What [`EventLog::join`] gives.
    type Consumer: Consumer;

    /// How many partitions the place was created with.
    fn partitions(&self) -> Partitions;

    /// Puts entries on their partitions, and returns when all are durable. On an error any part of them may be there, in order: of
    /// each partition a first part.
    fn append(&self, entries: &[LogEntry]) -> impl Future<Output = PortResult<()>> + Send;

    /// The end of every partition, in their order.
    fn ends(&self) -> impl Future<Output = PortResult<Vec<PartitionEnd>>> + Send;

    /// Joins a group under a name that is the member's own, also across restarts: a member that comes back under the same name soon
    /// gets its partitions back without disturbing others.
    fn join(&self, group: &str, member: &str) -> impl Future<Output = PortResult<Self::Consumer>> + Send;
}

/// A member of a group. Leaves when it is dropped, at the latest when it is not heard of for the group's session time.
pub trait Consumer: Send + 'static {
    /// The next thing to know, waiting up to `patience`. At most `limit` records come at once. Must be called regularly: it is
    /// also the sign of life.
    fn poll(&mut self, limit: usize, wait_max: Duration) -> impl Future<Output = PortResult<LogSignal>> + Send;

    /// Another sign of life, for a member that is busy with what it has heard, and asks for nothing. What the group wants of it waits until it
    /// does; a log may take who lets it wait for several session times for dead all the same.
    fn heartbeat(&mut self) -> impl Future<Output = ()> + Send;

    /// Starts, or goes on, reading a partition of this member's at an offset. Where retention has taken that offset, reading starts at the
    /// first record there is.
    fn seek(&mut self, partition: Partition, offset: Offset) -> impl Future<Output = PortResult<()>> + Send;

    /// Stores, for each partition, the next offset to read. Call it only when everything before is durable elsewhere.
    fn commit(&mut self, offsets: &[(Partition, Offset)]) -> impl Future<Output = PortResult<CommitOutcome>> + Send;
}
