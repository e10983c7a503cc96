//! Reading events.

use diptych_kernel::{
    EventTypeInterner, Partition, Position, RecordedEvent, StreamId, Timestamp, Version, ports::EventPage,
};
use rusqlite::{CachedStatement, Connection, Params, params};

use super::recent::{Horizon, Place};
use crate::database::{Trouble, row};

/// Selects what [`row::event`] reads.
macro_rules! select_events {
    ($from_and_where:literal) => {
        concat!(
            "SELECT events.position, events.partition, events.stream_id, events.version, recorded_at, event_type, ",
            "request_id, payload, traceparent FROM ",
            $from_and_where
        )
    };
}

/// Events from one answer, up to a number of them.
struct Piece {
    events: Vec<RecordedEvent>,
    types: EventTypeInterner,
    limit: usize,
}

impl Piece {
    fn up_to(limit: usize) -> Self {
        Self { events: Vec::new(), types: EventTypeInterner::default(), limit }
    }

    fn room(&self) -> i64 {
        i64::try_from(self.limit.saturating_sub(self.events.len())).unwrap_or(i64::MAX)
    }

    fn is_full(&self) -> bool {
        self.events.len() >= self.limit
    }

    fn add(&mut self, mut select: CachedStatement<'_>, params: impl Params) -> Result<(), Trouble> {
        let mut rows = select.query(params)?;
        while let Some(row) = rows.next()? {
            self.events.push(row::event(row, &mut self.types)?);
        }
        Ok(())
    }
}

/// A piece of all events, or of those of one partition.
pub(super) fn tail(
    connection: &Connection,
    partition: Option<Partition>,
    cursor_exclusive: Position,
    limit: usize,
    now: Timestamp,
) -> Result<EventPage, Trouble> {
    let horizon = Horizon::of(connection)?;
    let mut piece = Piece::up_to(limit);
    let cursor = cursor_exclusive.as_i64();
    match partition {
        None => piece.add(
            connection.prepare_cached(select_events!("events WHERE position > ?1 ORDER BY position LIMIT ?2"))?,
            params![cursor, piece.room()],
        )?,
        Some(partition) => add_of_partition(connection, &mut piece, partition, cursor, horizon)?,
    }
    let complete_up_to = if piece.is_full() {
        piece.events.last().map_or(cursor_exclusive, |event| event.position)
    } else {
        // Read in the same transaction, so everything up to the last event there is was looked at.
        horizon.last.max(cursor_exclusive)
    };
    Ok(EventPage { events: piece.events, complete_up_to, read_at: now.max(horizon.recorded_at) })
}

/// First those that the index has, then those among the few that it may not have.
fn add_of_partition(
    connection: &Connection,
    piece: &mut Piece,
    partition: Partition,
    cursor: i64,
    horizon: Horizon,
) -> Result<(), Trouble> {
    let (partition, indexed_up_to) = (partition.number(), horizon.indexed_up_to.as_i64());
    let room = piece.room();
    piece.add(
        connection.prepare_cached(select_events!(
            "events_by_partition AS found CROSS JOIN events ON events.position = found.position
             WHERE found.partition = ?1 AND found.position > ?2 AND found.position <= ?3
             ORDER BY found.position LIMIT ?4"
        ))?,
        params![partition, cursor, indexed_up_to, room],
    )?;
    let room = piece.room();
    piece.add(
        connection.prepare_cached(select_events!(
            "events WHERE partition = ?1 AND position > ?2 ORDER BY position LIMIT ?3"
        ))?,
        params![partition, cursor.max(indexed_up_to), room],
    )
}

/// Events of one stream after a version. `recent` has the newest ones, which the index may not have.
pub(super) fn stream(
    connection: &Connection,
    stream_id: &StreamId,
    version_exclusive: Version,
    limit: usize,
    recent: &[Place],
) -> Result<Vec<RecordedEvent>, Trouble> {
    let mut piece = Piece::up_to(limit);
    let first_recent = recent.first().map_or(i64::MAX, |place| i64::from(place.version.number()));
    if first_recent > i64::from(version_exclusive.number()) + 1 {
        let room = piece.room();
        piece.add(
            connection.prepare_cached(select_events!(
                "events_by_stream AS found CROSS JOIN events ON events.position = found.position
                 WHERE found.stream_id = ?1 AND found.version > ?2 AND found.version < ?3
                 ORDER BY found.version LIMIT ?4"
            ))?,
            params![stream_id.as_str(), version_exclusive.number(), first_recent, room],
        )?;
    }
    for place in recent.iter().filter(|place| place.version > version_exclusive) {
        if piece.is_full() {
            break;
        }
        let select = connection.prepare_cached(select_events!("events WHERE position = ?1"))?;
        piece.add(select, [place.position.as_i64()])?;
    }
    Ok(piece.events)
}
