//! Reads events in the order of their positions or versions.

use diptych_kernel::{
    EventIdentity, EventTypeInterner, Partition, Position, RecordedEvent, StreamId, Timestamp, Version,
    ports::{EventPage, HeldBackEvent, PortResult},
};
use tokio_postgres::types::ToSql;

use super::resources::StoreResources;
use crate::driver::{KnownEvent, SqlRow, StatementError, Time, corrupt_data};

const READ_AFTER: &str = include_str!("../../queries/read_after.sql");
const READ_PARTITION_AFTER: &str = include_str!("../../queries/read_partition_after.sql");
const READ_STREAM_AFTER: &str = include_str!("../../queries/read_stream_after.sql");
const EVENT_AT: &str = include_str!("../../queries/event_at.sql");
const LAST_READABLE_POSITION: &str = include_str!("../../queries/last_readable_position.sql");

/// Reads a page of all events.
pub(super) async fn all_after(
    resources: &StoreResources,
    cursor_exclusive: Position,
    limit: usize,
) -> PortResult<EventPage> {
    let page = async {
        let mut session = resources.readers.session().await?;
        let params: [&(dyn ToSql + Sync); 2] = [&cursor_exclusive.as_i64(), &limit_column(limit)];
        TailPage::read(&session.query(READ_AFTER, &params).await?)
    };
    let page = page.await.map_err(StatementError::into_read_error)?;
    if let Some(newest) = KnownEvent::newest(&page.events) {
        resources.history.record_unconfirmed(newest);
    }
    let held_back = page.held_back(limit);
    resources.horizon.observe(&resources.readers, page.horizon_exclusive, held_back).await;
    let read_at = page.complete_at();
    let complete_up_to = page.events.last().map_or(cursor_exclusive, |event| event.position);
    Ok(EventPage { events: page.events, complete_up_to, read_at, held_back })
}

/// Reads a page of the events of one partition.
pub(super) async fn partition_after(
    resources: &StoreResources,
    partition: Partition,
    cursor_exclusive: Position,
    limit: usize,
) -> PortResult<EventPage> {
    // A partition that does not exist has no events.
    let number = i16::try_from(partition.number()).unwrap_or(i16::MAX);
    let page = async {
        let mut session = resources.readers.session().await?;
        let params: [&(dyn ToSql + Sync); 3] = [&cursor_exclusive.as_i64(), &limit_column(limit), &number];
        let rows = session.query(READ_PARTITION_AFTER, &params).await?;
        let last_below_horizon = SqlRow::first(&rows)?.get::<Option<i64>>("last_below_horizon")?;
        let page = TailPage::read(&rows)?;
        let last_position = page.events.last().map_or(Position::START, |event| event.position);
        resources.durability.ensure_durable(&mut session, last_position).await?;
        resources.history.record_all(KnownEvent::newest(&page.events));
        let last_below_horizon = Position::from_i64(last_below_horizon.unwrap_or_default()).map_err(corrupt_data)?;
        Ok((page, last_below_horizon))
    };
    let (page, last_below_horizon) = page.await.map_err(StatementError::into_read_error)?;
    let read_at = page.complete_at();
    let complete_up_to = match page.events.last() {
        Some(last) if page.events.len() >= limit => last.position,
        // Read by the same statement, so the partition has no other event up to the last one below the horizon.
        _ => last_below_horizon.max(cursor_exclusive),
    };
    let held_back = page.held_back(limit);
    Ok(EventPage { events: page.events, complete_up_to, read_at, held_back })
}

/// Reads events of one stream after a version.
pub(super) async fn stream_after(
    resources: &StoreResources,
    stream_id: &StreamId,
    version_exclusive: Version,
    limit: usize,
) -> PortResult<Vec<RecordedEvent>> {
    let events = async {
        let mut session = resources.readers.session().await?;
        let version = i64::from(version_exclusive.number());
        let rows = session.query(READ_STREAM_AFTER, &[&stream_id.as_str(), &version, &limit_column(limit)]).await?;
        let mut types = EventTypeInterner::default();
        let events = rows.iter().map(|row| SqlRow(row).event(&mut types)).collect::<Result<Vec<_>, _>>()?;
        let last_position = events.last().map_or(Position::START, |event| event.position);
        resources.durability.ensure_durable(&mut session, last_position).await?;
        resources.history.record_all(KnownEvent::newest(&events));
        Ok(events)
    };
    events.await.map_err(StatementError::into_read_error)
}

/// Looks up the event at a position.
pub(super) async fn find_event(resources: &StoreResources, position: Position) -> PortResult<Option<EventIdentity>> {
    let find = async {
        let mut session = resources.readers.session().await?;
        let rows = session.query(EVENT_AT, &[&position.as_i64()]).await?;
        let identity = |row: SqlRow<'_>| Ok(EventIdentity { position, request_id: row.request_id("request_id")? });
        rows.first().map(SqlRow).map(identity).transpose()
    };
    find.await.map_err(StatementError::into_read_error)
}

/// Reads the position of the last event after a cursor and below the horizon, or the cursor if there is none.
pub(super) async fn last_readable_position(
    resources: &StoreResources,
    cursor_exclusive: Position,
) -> PortResult<Position> {
    let read = async {
        let mut session = resources.readers.session().await?;
        let rows = session.query(LAST_READABLE_POSITION, &[&cursor_exclusive.as_i64()]).await?;
        let last: Option<i64> = SqlRow::first(&rows)?.get("position")?;
        last.map_or(Ok(cursor_exclusive), |last| Position::from_i64(last).map_err(corrupt_data))
    };
    read.await.map_err(StatementError::into_read_error)
}

fn limit_column(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A page of events, with the state of the table that the same statement saw.
struct TailPage {
    events: Vec<RecordedEvent>,
    /// Bound of this snapshot: at and after it, events can still appear between events that are visible already.
    horizon_exclusive: Position,
    /// Recording time and partition of the first committed event at or after the horizon.
    held_back: Option<(Timestamp, Partition)>,
    read_at: Timestamp,
}

impl TailPage {
    /// Reads the rows: one per event, or a single one without an event.
    fn read(rows: &[tokio_postgres::Row]) -> Result<Self, StatementError> {
        let first = SqlRow::first(rows)?;
        let mut page = Self {
            events: Vec::with_capacity(rows.len()),
            horizon_exclusive: first.position("horizon_exclusive")?,
            held_back: match first.get::<Option<Time>>("held_back_at")? {
                Some(time) => Some((time.0, first.partition("held_back_partition")?)),
                None => None,
            },
            read_at: first.time("read_at")?,
        };
        if first.get::<Option<i64>>("position")?.is_some() {
            let mut types = EventTypeInterner::default();
            for row in rows {
                page.events.push(SqlRow(row).event(&mut types)?);
            }
        }
        // The plan returns them in this order, and sorting a sorted list is cheap.
        page.events.sort_by_key(|event| event.position);
        Ok(page)
    }

    /// Returns the first committed event that is kept from this reader, which would have taken more.
    fn held_back(&self, limit: usize) -> Option<HeldBackEvent> {
        let (recorded_at, partition) = self.held_back.filter(|_| self.events.len() < limit)?;
        Some(HeldBackEvent { partition, recorded_at, seen_at: self.read_at })
    }

    /// The database's time up to which nothing is missing from what can be read.
    ///
    /// The statement arrived before its snapshot was taken, so whatever was committed before it arrived is in the
    /// snapshot. If some of that is held back, only what was recorded before it is complete. The events of the page
    /// were recorded before the snapshot too.
    fn complete_at(&self) -> Timestamp {
        let before = self.held_back.map_or(self.read_at, |(time, _)| time.min(self.read_at));
        self.events.iter().map(|event| event.recorded_at).max().map_or(before, |recorded_at| recorded_at.max(before))
    }
}
