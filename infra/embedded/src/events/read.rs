//! Reads of events.

use diptych_kernel::{
    EventIdentity, EventTypeInterner, Partition, Position, RecordedEvent, RequestId, StreamId, Timestamp, Version,
    ports::EventPage,
};
use rusqlite::{CachedStatement, Connection, Params, params};

use super::{recent::Horizon, segment::EventRef};
use crate::database::{TransactionError, row};

/// Selects the columns that [`row::event`] reads.
macro_rules! select_events {
    ($from_and_where:literal) => {
        concat!(
            "SELECT events.position, events.partition, events.stream_id, events.version, recorded_at, event_type, ",
            "request_id, payload, traceparent FROM ",
            $from_and_where
        )
    };
}

/// Collects the events of one result, up to a limit.
struct PageBuilder {
    events: Vec<RecordedEvent>,
    types: EventTypeInterner,
    limit: usize,
}

impl PageBuilder {
    fn up_to(limit: usize) -> Self {
        Self { events: Vec::new(), types: EventTypeInterner::default(), limit }
    }

    fn room(&self) -> i64 {
        i64::try_from(self.limit.saturating_sub(self.events.len())).unwrap_or(i64::MAX)
    }

    fn is_full(&self) -> bool {
        self.events.len() >= self.limit
    }

    fn add(&mut self, mut select: CachedStatement<'_>, params: impl Params) -> Result<(), TransactionError> {
        let mut rows = select.query(params)?;
        while let Some(row) = rows.next()? {
            self.events.push(row::event(row, &mut self.types)?);
        }
        Ok(())
    }
}

/// Reads a page of all events, or of those of one partition.
pub(super) fn read_page(
    connection: &Connection,
    partition: Option<Partition>,
    cursor_exclusive: Position,
    limit: usize,
    now: Timestamp,
) -> Result<EventPage, TransactionError> {
    let horizon = Horizon::of(connection)?;
    let mut page = PageBuilder::up_to(limit);
    let cursor = cursor_exclusive.as_i64();
    match partition {
        None => page.add(
            connection.prepare_cached(select_events!("events WHERE position > ?1 ORDER BY position LIMIT ?2"))?,
            params![cursor, page.room()],
        )?,
        Some(partition) => add_of_partition(connection, &mut page, partition, cursor, horizon)?,
    }
    let complete_up_to = if page.is_full() {
        page.events.last().map_or(cursor_exclusive, |event| event.position)
    } else {
        // The last position was read in the same transaction, so the page covers everything up to it.
        horizon.last.max(cursor_exclusive)
    };
    // Writers take turns, so none can be open before a committed event.
    let read_at = now.max(horizon.recorded_at);
    Ok(EventPage { events: page.events, complete_up_to, read_at, held_back: None })
}

/// Adds the indexed events of a partition, and then those among the few that may not be indexed yet.
fn add_of_partition(
    connection: &Connection,
    page: &mut PageBuilder,
    partition: Partition,
    cursor: i64,
    horizon: Horizon,
) -> Result<(), TransactionError> {
    let (partition, indexed_up_to) = (partition.number(), horizon.indexed_up_to.as_i64());
    let room = page.room();
    page.add(
        connection.prepare_cached(select_events!(
            "events_by_partition AS found CROSS JOIN events ON events.position = found.position
             WHERE found.partition = ?1 AND found.position > ?2 AND found.position <= ?3
             ORDER BY found.position LIMIT ?4"
        ))?,
        params![partition, cursor, indexed_up_to, room],
    )?;
    let room = page.room();
    page.add(
        connection.prepare_cached(select_events!(
            "events WHERE partition = ?1 AND position > ?2 ORDER BY position LIMIT ?3"
        ))?,
        params![partition, cursor.max(indexed_up_to), room],
    )
}

/// Reads events of one stream after a version. `recent` contains the newest ones, which may not be in the index tables
/// yet.
pub(super) fn stream(
    connection: &Connection,
    stream_id: &StreamId,
    version_exclusive: Version,
    limit: usize,
    recent: &[EventRef],
) -> Result<Vec<RecordedEvent>, TransactionError> {
    let mut page = PageBuilder::up_to(limit);
    let first_recent = recent.first().map_or(i64::MAX, |event| i64::from(event.version.number()));
    if first_recent > i64::from(version_exclusive.number()) + 1 {
        let room = page.room();
        page.add(
            connection.prepare_cached(select_events!(
                "events_by_stream AS found CROSS JOIN events ON events.position = found.position
                 WHERE found.stream_id = ?1 AND found.version > ?2 AND found.version < ?3
                 ORDER BY found.version LIMIT ?4"
            ))?,
            params![stream_id.as_str(), version_exclusive.number(), first_recent, room],
        )?;
    }
    for event in recent.iter().filter(|event| event.version > version_exclusive) {
        if page.is_full() {
            break;
        }
        let select = connection.prepare_cached(select_events!("events WHERE position = ?1"))?;
        page.add(select, [event.position.as_i64()])?;
    }
    Ok(page.events)
}

/// Looks up the event at a position.
pub(super) fn find_event(
    connection: &Connection,
    position: Position,
) -> Result<Option<EventIdentity>, TransactionError> {
    let mut select = connection.prepare_cached("SELECT request_id FROM events WHERE position = ?1")?;
    let mut rows = select.query([position.as_i64()])?;
    let Some(found) = rows.next()? else { return Ok(None) };
    Ok(Some(EventIdentity { position, request_id: RequestId::from_bytes(found.get(0)?) }))
}
