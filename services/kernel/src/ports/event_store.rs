//! The write database: events, request ids, snapshots.

use std::{future::Future, time::Duration};

use bytes::Bytes;

use super::PortResult;
use crate::vocabulary::{
    EventMetadata, Fingerprint, NewEvent, Partition, Partitions, Position, Receipt, RecordedEvent, RequestId, StreamId,
    Timestamp, Version,
};

/// One command's part of an append.
#[derive(Clone, Debug)]
pub struct AppendUnit {
    /// The command. Stored with the events, in the same transaction.
    pub request_id: RequestId,
    /// Its content.
    pub fingerprint: Fingerprint,
    /// Its events, at least one. Along each stream the versions are dense, also from unit to unit of a batch.
    pub events: Vec<NewEvent>,
    /// What travels with each of the events.
    pub metadata: EventMetadata,
}

/// A state to be stored beside the events, so that loading the stream stays short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The stream.
    pub stream_id: StreamId,
    /// The version that the state has.
    pub version: Version,
    /// The domain's snapshot format.
    pub format: u32,
    /// The encoded state.
    pub state: Bytes,
}

/// How an append ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendOutcome {
    /// All of it is stored durably. One receipt per unit, in order.
    Committed(Vec<Receipt>),
    /// Nothing of it is stored, because of what others had stored before. At least one of the two lists has an entry.
    Rejected {
        /// Streams that were not at the version which the events build on.
        conflicts: Vec<Conflict>,
        /// Units whose request id is stored already, whatever their content.
        done: Vec<StoredRequest>,
    },
}

/// A stream that another writer has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The stream.
    pub stream_id: StreamId,
    /// The version that the first event of the batch in this stream builds on.
    pub expected: Version,
    /// The version that it has.
    pub actual: Version,
}

/// A command that was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRequest {
    /// What it was.
    pub fingerprint: Fingerprint,
    /// What it got.
    pub receipt: Receipt,
}

/// A stream to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamLoad {
    /// The stream.
    pub stream_id: StreamId,
    /// What the caller has already: only later events are loaded. [`Version::NONE`] for all, from the newest snapshot on.
    pub known_version: Version,
}

/// What was loaded of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSlice {
    /// The stream.
    pub stream_id: StreamId,
    /// The newest snapshot, where the caller asked from the start and there is one of the wanted format.
    pub snapshot: Option<Snapshot>,
    /// The events after the snapshot, or after `known_version`, in order: dense up to the stream's current version.
    pub events: Vec<RecordedEvent>,
}

/// What [`EventStore::load`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// One per stream asked for, in order.
    pub streams: Vec<StreamSlice>,
    /// The requests among those asked for that are stored, in no order.
    pub requests: Vec<StoredRequest>,
}

/// A piece of the end of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPage {
    /// Events in the order of their positions.
    pub events: Vec<RecordedEvent>,
    /// Every event up to here, inclusive, that was not known before is in `events`; none can appear there later. Where the piece
    /// was cut at the limit this is the position of its last event; never below the position that was read from.
    pub complete_up_to: Position,
    /// The database's time when it was read.
    pub read_at: Timestamp,
}

/// The write database.
///
/// ```text
///              cursor                    complete_up_to
///                 v                            v
///   ---[ told ]---|---[ events of a EventPage ]-----|--- not decided yet ---> position
/// ```
///
/// An implementation must keep, also with several handles in several processes on the same place:
///
/// - **G1, G3**: an append is durable and whole, or has left nothing.
/// - **G2**: a request id is stored at most once, in the transaction of its events, and its receipt never changes.
/// - **G4**: versions of a stream are dense from 1, and position grows with version along a stream. The events of a unit have
///   consecutive positions.
/// - **G5**: [`EventStore::read_after`] never passes an event that could still appear: what is at or below
///   [`EventPage::complete_up_to`] is decided for ever. Reading by "id greater than the last" over ids that are given out before commit loses events.
/// - All methods may be called at the same time from anywhere. A future that is dropped leaves an unknown effect.
pub trait EventStore: Send + Sync + 'static {
    /// How many partitions the place was created with.
    fn partitions(&self) -> Partitions;

    /// Stores the units of a batch, in order, in one transaction, and the snapshots with them.
    ///
    /// Repeating a batch whose effect is unknown is safe and is the way to find out: it was stored if and only if the answer is
    /// `Rejected` with all of its requests done and the same fingerprints, or `Committed` now. Snapshots are a help: one that is
    /// older than what is stored is ignored. It is invalid to call this with no unit, with a unit without events, or with the same
    /// request id twice.
    fn append(
        &self,
        units: &[AppendUnit],
        snapshots: &[Snapshot],
    ) -> impl Future<Output = PortResult<AppendOutcome>> + Send;

    /// Loads streams and looks up request ids, as of one moment after the call. A stream that does not exist comes back empty.
    fn load(
        &self,
        streams: &[StreamLoad],
        snapshot_format: u32,
        requests: &[RequestId],
    ) -> impl Future<Output = PortResult<Loaded>> + Send;

    /// Up to `limit` events after `cursor_exclusive`, over all partitions.
    fn read_after(
        &self,
        cursor_exclusive: Position,
        limit: usize,
    ) -> impl Future<Output = PortResult<EventPage>> + Send;

    /// The same for one partition.
    fn read_partition_after(
        &self,
        partition: Partition,
        cursor_exclusive: Position,
        limit: usize,
    ) -> impl Future<Output = PortResult<EventPage>> + Send;

    /// Up to `limit` events of a stream after a version, in order.
    fn read_stream_after(
        &self,
        stream_id: &StreamId,
        version_exclusive: Version,
        limit: usize,
    ) -> impl Future<Output = PortResult<Vec<RecordedEvent>>> + Send;

    /// Returns when there may be events after `cursor_exclusive`, or after `patience` at the latest. It may return for no reason;
    /// it must not sleep through an append of this handle, and should not through others'.
    fn wait_for_events(&self, cursor_exclusive: Position, wait_max: Duration) -> impl Future<Output = ()> + Send;

    /// Forgets requests recorded before a moment: their ids count as new from then on. At most `limit` at a time, so that nobody
    /// waits long; returns how many went. Events stay.
    fn forget_requests(
        &self,
        recorded_before: Timestamp,
        limit: usize,
    ) -> impl Future<Output = PortResult<usize>> + Send;
}
