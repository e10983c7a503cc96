//! Write database: events, request ids and snapshots.

use std::{fmt, future::Future, time::Duration};

use bytes::Bytes;

use super::{PortError, PortResult};
use crate::vocabulary::{
    EventIdentity, EventMetadata, Fingerprint, NewEvent, Partition, Partitions, Position, Receipt, RecordedEvent,
    RequestId, StreamId, Timestamp, Version,
};

/// One command's part of an append.
#[derive(Clone, Debug)]
pub struct AppendUnit {
    /// Identifies the command. Stored with the events, in the same transaction.
    pub request_id: RequestId,
    /// Fingerprint of the command's content.
    pub fingerprint: Fingerprint,
    /// The command's events, at least one. Along each stream the versions are consecutive, also across the units of a
    /// batch.
    pub events: Vec<NewEvent>,
    /// Metadata of each of the events.
    pub metadata: EventMetadata,
}

/// Largest size of an event, in bytes of its type and payload. Every log takes events of this size, so what is
/// committed can be published. The rest up to the limit of a record (1,000,000 bytes by default in Kafka) is for key
/// and headers.
pub const EVENT_BYTES_MAX: usize = 900_000;

/// Largest size of the events of an append, in bytes of their types and payloads.
pub const APPEND_BYTES_MAX: usize = 16 << 20;

impl AppendUnit {
    /// Checks the sizes of the events and of the whole append.
    ///
    /// # Errors
    /// For an operator, if one is too large. The command service refuses a command before.
    pub fn check_sizes(units: &[Self]) -> PortResult<()> {
        let mut sum = 0_usize;
        for event in units.iter().flat_map(|unit| &unit.events) {
            let bytes = event.bytes();
            sum = sum.saturating_add(bytes);
            if bytes > EVENT_BYTES_MAX {
                return Err(PortError::operator(format!(
                    "version {} of stream {} has {bytes} bytes: an event has at most {EVENT_BYTES_MAX}",
                    event.version, event.stream_id
                )));
            }
        }
        if sum > APPEND_BYTES_MAX {
            return Err(PortError::operator(format!(
                "the events of a batch have {sum} bytes: a batch has at most {APPEND_BYTES_MAX}"
            )));
        }
        Ok(())
    }
}

/// State of a stream, stored beside its events so that loading the stream stays fast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The stream.
    pub stream_id: StreamId,
    /// The stream's version in this state.
    pub version: Version,
    /// The domain's snapshot format.
    pub format: u32,
    /// The encoded state.
    pub state: Bytes,
}

/// Result of an append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendOutcome {
    /// The whole batch is stored durably. One receipt per unit, in order.
    Committed(Vec<Receipt>),
    /// Nothing of the batch is stored, because of what was stored earlier. At least one of the two lists is not empty.
    Rejected {
        /// Streams whose version is not the one that the events build on.
        conflicts: Vec<Conflict>,
        /// Stored requests with the id of a unit, whatever their content.
        done: Vec<StoredRequest>,
    },
}

/// Stream that another writer has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The stream.
    pub stream_id: StreamId,
    /// The version that the batch's first event in this stream builds on, or at which a refusal was decided.
    pub expected: Version,
    /// The stream's current version.
    pub actual: Version,
}

/// Request that was stored, with its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRequest {
    /// Identifies the command.
    pub request_id: RequestId,
    /// Fingerprint of the command that was stored.
    pub fingerprint: Fingerprint,
    /// The command's outcome. It never changes.
    pub outcome: StoredOutcome,
}

impl StoredRequest {
    /// Creates the stored request of a committed command.
    #[must_use]
    pub fn committed(fingerprint: Fingerprint, receipt: Receipt) -> Self {
        Self { request_id: receipt.request_id, fingerprint, outcome: StoredOutcome::Committed(receipt) }
    }

    /// Returns the receipt; `None` if the command was refused.
    #[must_use]
    pub fn receipt(&self) -> Option<&Receipt> {
        match &self.outcome {
            StoredOutcome::Committed(receipt) => Some(receipt),
            StoredOutcome::Refused(_) => None,
        }
    }
}

/// Outcome of a stored request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredOutcome {
    /// The command's events are stored.
    Committed(Receipt),
    /// The command was refused, with this encoded refusal. No event of it is stored, and none will be.
    Refused(Bytes),
}

/// Largest size of an encoded refusal, in bytes.
pub const REFUSAL_BYTES_MAX: usize = 4_096;

/// Refusal of a command, to be stored under its request id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalUnit {
    /// Identifies the command.
    pub request_id: RequestId,
    /// Fingerprint of the command's content.
    pub fingerprint: Fingerprint,
    /// The streams that the refusal was decided on, at least one, each with the version at which it was decided.
    pub streams: Vec<(StreamId, Version)>,
    /// The encoded refusal, at most [`REFUSAL_BYTES_MAX`] bytes. The store does not interpret it.
    pub refusal: Bytes,
}

/// Result of a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefusalOutcome {
    /// The refusal is stored durably: no command with this request id will be committed.
    Stored,
    /// Not stored, because the request id is stored already, whatever its content.
    Done(StoredRequest),
    /// Not stored, because these streams have other versions. At least one.
    Conflicts(Vec<Conflict>),
}

/// Stream to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamLoad {
    /// The stream.
    pub stream_id: StreamId,
    /// The version that the caller already has: only later events are loaded. [`Version::NONE`] loads the newest
    /// snapshot and all events after it.
    pub known_version: Version,
}

/// Loaded part of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSlice {
    /// The stream.
    pub stream_id: StreamId,
    /// The newest snapshot, if the caller asked from the start and there is one in the requested format that does not
    /// differ from its checksum.
    pub snapshot: Option<Snapshot>,
    /// The events after the snapshot, or after `known_version`, in order and without gaps, up to the stream's current
    /// version.
    pub events: Vec<RecordedEvent>,
}

/// Result of [`EventStore::load`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// One per requested stream, in the order of the call.
    pub streams: Vec<StreamSlice>,
    /// The looked-up requests that are stored, in any order.
    pub requests: Vec<StoredRequest>,
}

/// Page of events after a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPage {
    /// Events in order of position.
    pub events: Vec<RecordedEvent>,
    /// Inclusive position up to which the page is complete: `events` contains every event after the cursor up to here,
    /// and no event can appear there later. If the limit cut the page, this is the position of its last event. Never
    /// below the cursor.
    pub complete_up_to: Position,
    /// The database's time of the read.
    pub read_at: Timestamp,
    /// The oldest committed event that readers do not get yet, as an older transaction may still store one before it.
    /// `None` if there is none, or if the limit cut the page.
    pub held_back: Option<HeldBackEvent>,
}

/// Event that is committed and not returned to readers yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldBackEvent {
    /// The event's partition.
    pub partition: Partition,
    /// Time of its commit.
    pub recorded_at: Timestamp,
    /// The database's time at which it was held back.
    pub seen_at: Timestamp,
}

/// Turn to write to contended partitions. It ends when it is dropped.
#[must_use = "the turn ends when it is dropped"]
pub struct Turn(Option<Box<dyn FnOnce() + Send>>);

impl Turn {
    /// Creates a turn that calls `end` when it is dropped.
    pub fn new(end: impl FnOnce() + Send + 'static) -> Self {
        Self(Some(Box::new(end)))
    }

    /// Creates a turn for a store in which writers need not wait for each other.
    pub fn unrestricted() -> Self {
        Self(None)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(end) = self.0.take() {
            end();
        }
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").finish_non_exhaustive()
    }
}

/// Write database.
///
/// ```text
///              cursor                     complete_up_to
///                 v                             v
///   ---[ read ]---|---[ events of EventPage ]---|--- not decided yet ---> position
/// ```
///
/// Contract, also for several handles in several processes on the same database:
///
/// - **G1, G3**: an append is durable and whole, or has no effect.
/// - **G2**: a request id is stored at most once, in the transaction of its events or as a refusal, and its outcome
///   never changes.
/// - **G4**: the versions of a stream are consecutive from 1, and position grows with version along a stream. The
///   events of a unit have consecutive positions.
/// - **G5**: [`EventStore::read_after`] never skips an event that could still appear: everything at or below
///   [`EventPage::complete_up_to`] is final. (A reader that selects ids greater than the last one it saw loses events
///   if ids are assigned before commit.)
/// - All methods may be called concurrently. Dropping a future leaves the effect of its call unknown.
pub trait EventStore: Send + Sync + 'static {
    /// Returns the number of partitions that the database was created with.
    fn partitions(&self) -> Partitions;

    /// Stores the units of a batch, in order, and the snapshots, in one transaction.
    ///
    /// Repeating a batch whose effect is unknown is safe, and is the way to resolve it. The batch was stored if and
    /// only if the repeat returns `Rejected` with all of the batch's requests in `done`, committed and with the same
    /// fingerprints, or returns `Committed` now.
    ///
    /// Snapshots are an optimization: one that is older than the stored one is ignored.
    ///
    /// The caller must pass at least one unit, at least one event in each unit, and no request id twice. An append with
    /// an event above [`EVENT_BYTES_MAX`], or above [`APPEND_BYTES_MAX`] in all, fails and stores nothing.
    fn append(
        &self,
        units: &[AppendUnit],
        snapshots: &[Snapshot],
    ) -> impl Future<Output = PortResult<AppendOutcome>> + Send;

    /// Waits for a turn to write to these partitions, in the order of the calls of all processes. For writers whose
    /// appends conflict: those that load, decide and append within a turn seldom do. An append needs no turn, and a
    /// store may grant turns at once; only the check of the versions in [`EventStore::append`] excludes lost updates. A
    /// turn ends with its process.
    fn take_turn(&self, partitions: &[Partition]) -> impl Future<Output = PortResult<Turn>> + Send;

    /// Stores refusals, each by itself: a refusal is stored if its request id is new and its streams have the versions
    /// at which it was decided, at some moment after the call. Returns one result per refusal, in order.
    ///
    /// A refusal claims its request id as an append does. If an append of the same id is in flight, in any process, one
    /// of the two waits until the other has ended: the same id is never refused and committed. Repeating a call whose
    /// effect is unknown is safe, and returns `Done` for the refusals that it has stored.
    ///
    /// The caller must pass no request id twice.
    fn refuse(&self, refusals: &[RefusalUnit]) -> impl Future<Output = PortResult<Vec<RefusalOutcome>>> + Send;

    /// Stops all appends to the write database, by every process, until an operator acts (`diptych rebase`): the log
    /// shows that the database lost events, and commands must not be decided on what is left. An append or refusal then
    /// fails with `reason`, for an operator. The first reason stays.
    fn suspend_appends(&self, reason: &str) -> impl Future<Output = PortResult<()>> + Send;

    /// Loads streams and looks up request ids, as of a single moment after the call. A stream that does not exist is
    /// returned empty.
    fn load(
        &self,
        streams: &[StreamLoad],
        snapshot_format: u32,
        requests: &[RequestId],
    ) -> impl Future<Output = PortResult<Loaded>> + Send;

    /// Reads up to `limit` events after `cursor_exclusive`, over all partitions.
    fn read_after(
        &self,
        cursor_exclusive: Position,
        limit: usize,
    ) -> impl Future<Output = PortResult<EventPage>> + Send;

    /// Reads up to `limit` events of one partition after `cursor_exclusive`.
    fn read_partition_after(
        &self,
        partition: Partition,
        cursor_exclusive: Position,
        limit: usize,
    ) -> impl Future<Output = PortResult<EventPage>> + Send;

    /// Looks up the event at a position, whether or not readers get it yet. `None` if there is none.
    fn find_event(&self, position: Position) -> impl Future<Output = PortResult<Option<EventIdentity>>> + Send;

    /// Reads up to `limit` events of a stream after a version, in order.
    fn read_stream_after(
        &self,
        stream_id: &StreamId,
        version_exclusive: Version,
        limit: usize,
    ) -> impl Future<Output = PortResult<Vec<RecordedEvent>>> + Send;

    /// Returns when there may be events after `cursor_exclusive`, or after `wait_max` at the latest. Spurious returns
    /// are allowed. An append through this handle must end the wait; an append through another handle should.
    fn wait_for_events(&self, cursor_exclusive: Position, wait_max: Duration) -> impl Future<Output = ()> + Send;

    /// Forgets requests, committed and refused, recorded before a time: from then on their ids count as new. Events are
    /// kept. Returns how many it forgot, at most `limit`, so that other callers do not wait long; a store that can
    /// forget more at once returns the rest of their number from the next calls. A store may forget fewer if it does
    /// not know that the time has really passed: a wrong clock must not make ids new.
    fn forget_requests(
        &self,
        recorded_before: Timestamp,
        limit: usize,
    ) -> impl Future<Output = PortResult<usize>> + Send;
}
