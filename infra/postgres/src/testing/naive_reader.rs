//! [`NaiveReader`]: a reader that misses events.

use std::time::Duration;

use diptych_kernel::{
    EventTypeInterner, Partition, Partitions, Position, RecordedEvent, RequestId, StreamId, Timestamp, Version,
    ports::{AppendOutcome, AppendUnit, EventPage, EventStore, Loaded, PortResult, Snapshot, StreamLoad},
};

use crate::{
    driver::{SqlRow, StatementError, Time},
    events::PostgresEventStore,
};

const READ_WITHOUT_HORIZON: &str = include_str!("../../queries/testing/read_without_horizon.sql");

/// The write database with a naive reader: `WHERE position > cursor`. It skips events that are not committed yet and
/// never returns to them. All other methods are those of [`PostgresEventStore`]. A test that passes with this reader
/// tests nothing.
#[derive(Clone)]
pub struct NaiveReader(pub PostgresEventStore);

impl EventStore for NaiveReader {
    fn partitions(&self) -> Partitions {
        self.0.partitions()
    }

    async fn append(&self, units: &[AppendUnit], snapshots: &[Snapshot]) -> PortResult<AppendOutcome> {
        self.0.append(units, snapshots).await
    }

    async fn load(&self, streams: &[StreamLoad], snapshot_format: u32, requests: &[RequestId]) -> PortResult<Loaded> {
        self.0.load(streams, snapshot_format, requests).await
    }

    async fn read_after(&self, cursor_exclusive: Position, limit: usize) -> PortResult<EventPage> {
        let read = async {
            let mut session = self.0.readers().session().await?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let rows = session.query(READ_WITHOUT_HORIZON, &[&cursor_exclusive.as_i64(), &limit]).await?;
            let read_at = rows.first().map(|row| SqlRow(row).get::<Time>("read_at")).transpose()?;
            let mut types = EventTypeInterner::default();
            let events = rows.iter().map(|row| SqlRow(row).event(&mut types)).collect::<Result<Vec<_>, _>>()?;
            let complete_up_to = events.last().map_or(cursor_exclusive, |event| event.position);
            Ok(EventPage { events, complete_up_to, read_at: read_at.map_or_else(Timestamp::default, |time| time.0) })
        };
        read.await.map_err(StatementError::into_read_error)
    }

    async fn read_partition_after(
        &self,
        partition: Partition,
        cursor_exclusive: Position,
        limit: usize,
    ) -> PortResult<EventPage> {
        self.0.read_partition_after(partition, cursor_exclusive, limit).await
    }

    async fn read_stream_after(
        &self,
        stream_id: &StreamId,
        version_exclusive: Version,
        limit: usize,
    ) -> PortResult<Vec<RecordedEvent>> {
        self.0.read_stream_after(stream_id, version_exclusive, limit).await
    }

    async fn wait_for_events(&self, cursor_exclusive: Position, wait_max: Duration) {
        self.0.wait_for_events(cursor_exclusive, wait_max).await;
    }

    async fn forget_requests(&self, recorded_before: Timestamp, limit: usize) -> PortResult<usize> {
        self.0.forget_requests(recorded_before, limit).await
    }
}
