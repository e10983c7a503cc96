//! Event log: carries events from the write database to the projectors.

use std::{future::Future, time::Duration};

use super::PortResult;
use crate::vocabulary::{EventIdentity, Partition, Partitions, Position, RecordedEvent, Timestamp};

/// Offset of a record in its partition of the log, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub u64);

/// Statement that the log contains every event of a partition up to a position, as of a time. The relay appends one to
/// every partition that has been idle for a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermark {
    /// Every event of the partition up to this position precedes this record on the log.
    pub position: Position,
    /// The write database's time at which this was true.
    pub as_of: Timestamp,
    /// The position of the partition's last event, or [`Position::START`] if it has none. Reveals a lost record.
    pub last_event: Position,
}

/// Content of a record on the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogEntry {
    /// An event. Its record key is the stream id, and its partition is that of the stream.
    Event(RecordedEvent),
    /// A watermark of a partition.
    Watermark(Partition, Watermark),
}

impl LogEntry {
    /// Returns the partition that the entry belongs to.
    #[must_use]
    pub fn partition(&self) -> Partition {
        match self {
            Self::Event(event) => event.partition,
            Self::Watermark(partition, _) => *partition,
        }
    }
}

/// Record of the log: an entry and its offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// The record's offset in its partition.
    pub offset: Offset,
    /// The record's content.
    pub entry: LogEntry,
}

/// End of a partition of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionEnd {
    /// The offset of the next record; 0 if nothing was ever written.
    pub next_offset: Offset,
    /// The last event, if the partition still holds one.
    pub last_event: Option<EventIdentity>,
}

/// Partition that a consumer group assigned to this member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The partition.
    pub partition: Partition,
    /// The group's committed offset: the next offset to read. 0 if the group never committed.
    pub committed: Offset,
}

/// Result of committing offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// The offsets are stored.
    Committed,
    /// At least one of the partitions now belongs to another member; nothing was stored.
    Fenced,
}

/// Guard that delays a rebalance while a member finishes its work on revoked partitions. Dropping it lets the rebalance
/// continue. The adapter limits how long it waits.
#[derive(Debug)]
pub struct RevokeGuard(Option<Box<dyn ReleaseOnDrop>>);

/// Value whose `Drop` implementation continues the rebalance.
trait ReleaseOnDrop: Send + std::fmt::Debug {}
impl<T: Send + std::fmt::Debug> ReleaseOnDrop for T {}

impl RevokeGuard {
    /// Creates a guard that drops `release` when it is dropped itself.
    pub fn new(release: impl Send + std::fmt::Debug + 'static) -> Self {
        Self(Some(Box::new(release)))
    }
}

impl Drop for RevokeGuard {
    fn drop(&mut self) {
        self.0.take();
    }
}

/// Result of polling a consumer.
#[derive(Debug)]
pub enum LogSignal {
    /// Records of one or more partitions, in order within each partition. Never empty.
    Records(Vec<LogRecord>),
    /// These partitions were assigned to this member. None of them is read until [`Consumer::seek`] is called for it.
    Assigned(Vec<Assignment>),
    /// These partitions were revoked and will be assigned to another member. No more of their records follow. The
    /// member finishes or discards its work in progress on them, then drops the guard.
    Revoked(Vec<Partition>, RevokeGuard),
    /// Nothing arrived within the wait time.
    Idle,
}

/// Event log, divided into partitions and read by consumer groups.
///
/// Contract:
///
/// - **Order**: a partition keeps its records in the order in which they were appended, whether by one
///   appender or by several in turn.
/// - **At least once**: an append whose effect is unknown may be on the log. The caller appends again, and readers
///   recognize repeated events by position.
/// - **Durability**: an acknowledged record survives, and every group reads it, until retention deletes it.
/// - **Groups**: members of a group share the partitions. For commits, each partition has one owner at a time. A member
///   that was paused may still believe that it owns a partition. Only its commits are fenced, so its writes to other
///   systems must be harmless.
pub trait EventLog: Send + Sync + 'static {
    /// Consumer that [`EventLog::join`] returns.
    type Consumer: Consumer;

    /// Returns the number of partitions that the log was created with.
    fn partitions(&self) -> Partitions;

    /// Appends entries to their partitions, and returns when all are durable.
    ///
    /// # Errors
    /// After an error, the log may hold, for each partition, any prefix of the partition's entries, in order. After one
    /// of unknown effect, it may also have lost records that it acknowledged before: the caller compares them with
    /// the [ends](Self::ends), and appends again what is lost and what was not acknowledged.
    fn append(&self, entries: &[LogEntry]) -> impl Future<Output = PortResult<()>> + Send;

    /// Returns the end of every partition, in order of partition. If the log has noticed in an append that
    /// it lost acknowledged records, this is the end before the loss.
    fn ends(&self) -> impl Future<Output = PortResult<Vec<PartitionEnd>>> + Send;

    /// Joins a consumer group as a static member. `member` identifies the member across restarts: a member that soon
    /// rejoins under the same name gets its partitions back, and the other members keep theirs.
    fn join(&self, group: &str, member: &str) -> impl Future<Output = PortResult<Self::Consumer>> + Send;
}

/// Member of a consumer group. Dropping it leaves the group, at the latest when the session times out.
pub trait Consumer: Send + 'static {
    /// Returns the next signal, waiting up to `wait_max`. One call returns at most `limit` records. The member must
    /// call this method regularly, because it also acts as the heartbeat.
    fn poll(&mut self, limit: usize, wait_max: Duration) -> impl Future<Output = PortResult<LogSignal>> + Send;

    /// Sends a heartbeat without polling, for a member that is busy with earlier records. Rebalances wait until the
    /// member polls again. A log may still expel a member that has not polled for several session timeouts.
    fn heartbeat(&mut self) -> impl Future<Output = ()> + Send;

    /// Starts or continues reading an assigned partition at an offset. If retention has deleted that offset, reading
    /// starts at the first remaining record.
    fn seek(&mut self, partition: Partition, offset: Offset) -> impl Future<Output = PortResult<()>> + Send;

    /// Commits, for each partition, the next offset to read. All offsets are stored, or none. The effects of every
    /// earlier record must already be durable.
    fn commit(&mut self, offsets: &[(Partition, Offset)]) -> impl Future<Output = PortResult<CommitOutcome>> + Send;
}
