//! Command queue: keeps commands while the write database cannot store them.

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;

use super::{Fence, Offset, PortResult};
use crate::vocabulary::{EventMetadata, Fingerprint, RequestId, StreamId, Timestamp, Version};

/// Command that waits for the write database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedCommand {
    /// The identity of the command: it takes effect once, however often it is queued or sent.
    pub request_id: RequestId,
    /// The hash of its content.
    pub fingerprint: Fingerprint,
    /// The version that its first stream must have, or `None` for any.
    pub expected_version: Option<Version>,
    /// The streams that it writes to: at least one, each once. The first is the key of its record.
    pub streams: Vec<StreamId>,
    /// The kind of the command, as the domain encodes it.
    pub command_type: Arc<str>,
    /// The command, as the domain encodes it.
    pub payload: Bytes,
    /// The metadata of its events.
    pub metadata: EventMetadata,
    /// The instance name of the process that queued it.
    pub queued_by: Arc<str>,
    /// Time after which it is not executed any more.
    pub expires_at: Timestamp,
}

/// Record of the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueRecord {
    /// Its offset in the queue. Offsets grow, and may have gaps.
    pub offset: Offset,
    /// The command.
    pub command: QueuedCommand,
}

/// Ends of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueEnds {
    /// The offset of the oldest record that is kept, or that of the next one.
    pub first: Offset,
    /// The offset of the next record.
    pub next: Offset,
}

/// Queue of commands: one sequence, so that commands that share any stream keep their order.
///
/// Contract:
///
/// - **Order**: all readers see the records in one order, by offset. Records of one append keep their order in it.
/// - **Durability**: an acknowledged record survives the loss of any one server, until retention deletes it.
/// - **Independence**: it works while the write database does not.
pub trait CommandQueue: Send + Sync + 'static {
    /// Appends commands, and returns their offsets when all are durable.
    ///
    /// # Errors
    /// After an error of unknown effect, the queue may hold any of the commands, and may get them later.
    fn append(&self, commands: &[QueuedCommand]) -> impl Future<Output = PortResult<Vec<Offset>>> + Send;

    /// Returns up to `limit` records from an offset on, in order. Waits up to `wait_max` for the first; none if there
    /// is none by then. Starts at the oldest record that is kept if `from` is before it.
    ///
    /// # Errors
    /// If the queue cannot be read. A record that cannot be decoded is an error for an operator that names its offset.
    fn read(
        &self,
        from: Offset,
        limit: usize,
        wait_max: Duration,
    ) -> impl Future<Output = PortResult<Vec<QueueRecord>>> + Send;

    /// Returns the ends of the queue.
    fn ends(&self) -> impl Future<Output = PortResult<QueueEnds>> + Send;
}

/// Result of requesting the lease of the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueLease {
    /// The fencing token of the caller's leadership; `None` if another owner holds the lease.
    pub fence: Option<Fence>,
    /// Every command before this offset has its outcome.
    pub done_before: Offset,
}

/// Lease and cursor of the command queue, in the write database: one process at a time executes queued commands.
///
/// Contract:
///
/// - At most one owner holds the lease at a time. A lease that is not extended expires, by the database's clock.
/// - Every new leadership has a larger fence, and only the newest one can move the cursor.
/// - The cursor is what the newest leader says. It goes back with the database: after a restore commands are executed
///   again, and those that are stored get the outcome that they have.
pub trait CommandQueueState: Send + Sync + 'static {
    /// Takes the lease for `duration`, or extends it if `owner` holds it, and returns the cursor in any case.
    fn acquire_queue_lease(
        &self,
        owner: &str,
        duration: Duration,
    ) -> impl Future<Output = PortResult<QueueLease>> + Send;

    /// Moves the cursor and extends the lease by `duration`. Returns false if the caller is not the
    /// leader any more; nothing is changed then, and it must stop.
    fn move_queue_cursor(
        &self,
        fence: Fence,
        done_before: Offset,
        duration: Duration,
    ) -> impl Future<Output = PortResult<bool>> + Send;

    /// Releases the lease, so that another process need not wait for it to expire. Does nothing if it is not held.
    fn release_queue_lease(&self, fence: Fence) -> impl Future<Output = PortResult<()>> + Send;
}
