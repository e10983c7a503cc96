//! [`EventStoreWrapper`]: an event store that changes some methods of another one.

use std::{future::Future, time::Duration};

use crate::{
    ports::{
        AppendOutcome, AppendUnit, EventPage, EventStore, Loaded, PortResult, RefusalOutcome, RefusalUnit, Snapshot,
        StreamLoad, Turn,
    },
    vocabulary::{
        EventIdentity, Partition, Partitions, Position, RecordedEvent, RequestId, StreamId, Timestamp, Version,
    },
};

/// Wraps an event store. Every method passes the call on, unless the wrapper overrides it. A wrapper is an
/// [`EventStore`].
pub trait EventStoreWrapper: Send + Sync + 'static {
    /// The wrapped store.
    type Inner: EventStore;

    /// Returns the wrapped store.
    fn inner(&self) -> &Self::Inner;

    /// As [`EventStore::append`].
    fn append(
        &self,
        units: &[AppendUnit],
        snapshots: &[Snapshot],
    ) -> impl Future<Output = PortResult<AppendOutcome>> + Send {
        self.inner().append(units, snapshots)
    }

    /// As [`EventStore::take_turn`].
    fn take_turn(&self, partitions: &[Partition]) -> impl Future<Output = PortResult<Turn>> + Send {
        self.inner().take_turn(partitions)
    }

    /// As [`EventStore::refuse`].
    fn refuse(&self, refusals: &[RefusalUnit]) -> impl Future<Output = PortResult<Vec<RefusalOutcome>>> + Send {
        self.inner().refuse(refusals)
    }

    /// As [`EventStore::suspend_appends`].
    fn suspend_appends(&self, reason: &str) -> impl Future<Output = PortResult<()>> + Send {
        self.inner().suspend_appends(reason)
    }

    /// As [`EventStore::load`].
    fn load(
        &self,
        streams: &[StreamLoad],
        snapshot_format: u32,
        requests: &[RequestId],
    ) -> impl Future<Output = PortResult<Loaded>> + Send {
        self.inner().load(streams, snapshot_format, requests)
    }

    /// As [`EventStore::read_after`].
    fn read_after(
        &self,
        cursor_exclusive: Position,
        limit: usize,
    ) -> impl Future<Output = PortResult<EventPage>> + Send {
        self.inner().read_after(cursor_exclusive, limit)
    }

    /// As [`EventStore::read_partition_after`].
    fn read_partition_after(
        &self,
        partition: Partition,
        cursor_exclusive: Position,
        limit: usize,
    ) -> impl Future<Output = PortResult<EventPage>> + Send {
        self.inner().read_partition_after(partition, cursor_exclusive, limit)
    }

    /// As [`EventStore::find_event`].
    fn find_event(&self, position: Position) -> impl Future<Output = PortResult<Option<EventIdentity>>> + Send {
        self.inner().find_event(position)
    }

    /// As [`EventStore::read_stream_after`].
    fn read_stream_after(
        &self,
        stream_id: &StreamId,
        version_exclusive: Version,
        limit: usize,
    ) -> impl Future<Output = PortResult<Vec<RecordedEvent>>> + Send {
        self.inner().read_stream_after(stream_id, version_exclusive, limit)
    }

    /// As [`EventStore::wait_for_events`].
    fn wait_for_events(&self, cursor_exclusive: Position, wait_max: Duration) -> impl Future<Output = ()> + Send {
        self.inner().wait_for_events(cursor_exclusive, wait_max)
    }

    /// As [`EventStore::forget_requests`].
    fn forget_requests(
        &self,
        recorded_before: Timestamp,
        limit: usize,
    ) -> impl Future<Output = PortResult<usize>> + Send {
        self.inner().forget_requests(recorded_before, limit)
    }
}

impl<W: EventStoreWrapper> EventStore for W {
    fn partitions(&self) -> Partitions {
        self.inner().partitions()
    }

    async fn append(&self, units: &[AppendUnit], snapshots: &[Snapshot]) -> PortResult<AppendOutcome> {
        EventStoreWrapper::append(self, units, snapshots).await
    }

    async fn take_turn(&self, partitions: &[Partition]) -> PortResult<Turn> {
        EventStoreWrapper::take_turn(self, partitions).await
    }

    async fn refuse(&self, refusals: &[RefusalUnit]) -> PortResult<Vec<RefusalOutcome>> {
        EventStoreWrapper::refuse(self, refusals).await
    }

    async fn suspend_appends(&self, reason: &str) -> PortResult<()> {
        EventStoreWrapper::suspend_appends(self, reason).await
    }

    async fn load(&self, streams: &[StreamLoad], snapshot_format: u32, requests: &[RequestId]) -> PortResult<Loaded> {
        EventStoreWrapper::load(self, streams, snapshot_format, requests).await
    }

    async fn read_after(&self, cursor_exclusive: Position, limit: usize) -> PortResult<EventPage> {
        EventStoreWrapper::read_after(self, cursor_exclusive, limit).await
    }

    async fn read_partition_after(
        &self,
        partition: Partition,
        cursor_exclusive: Position,
        limit: usize,
    ) -> PortResult<EventPage> {
        EventStoreWrapper::read_partition_after(self, partition, cursor_exclusive, limit).await
    }

    async fn find_event(&self, position: Position) -> PortResult<Option<EventIdentity>> {
        EventStoreWrapper::find_event(self, position).await
    }

    async fn read_stream_after(
        &self,
        stream_id: &StreamId,
        version_exclusive: Version,
        limit: usize,
    ) -> PortResult<Vec<RecordedEvent>> {
        EventStoreWrapper::read_stream_after(self, stream_id, version_exclusive, limit).await
    }

    async fn wait_for_events(&self, cursor_exclusive: Position, wait_max: Duration) {
        EventStoreWrapper::wait_for_events(self, cursor_exclusive, wait_max).await;
    }

    async fn forget_requests(&self, recorded_before: Timestamp, limit: usize) -> PortResult<usize> {
        EventStoreWrapper::forget_requests(self, recorded_before, limit).await
    }
}
