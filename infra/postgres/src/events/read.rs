//! Reading events.

use diptych_kernel::{
    EventTypeInterner, Partition, Position, RecordedEvent, StreamId, Timestamp, Version,
    ports::{EventPage, PortResult},
};
use tokio_postgres::types::ToSql;

use super::Inner;
use crate::wire::{Row, Time, Trouble, garbled};

const READ_AFTER: &str = include_str!("../../queries/read_after.sql");
const READ_PARTITION_AFTER: &str = include_str!("../../queries/read_partition_after.sql");
const READ_STREAM_AFTER: &str = include_str!("../../queries/read_stream_after.sql");
const LOOK: &str = include_str!("../../queries/look.sql");

/// A piece of all events.
pub(super) async fn all_after(inner: &Inner, cursor_exclusive: Position, limit: usize) -> PortResult<EventPage> {
    let piece = async {
        let mut session = inner.readers.session().await?;
        let params: [&(dyn ToSql + Sync); 2] = [&cursor_exclusive.as_i64(), &limit_column(limit)];
        Piece::read(&session.query(READ_AFTER, &params).await?)
    };
    let piece = piece.await.map_err(Trouble::of_question)?;
    inner.held_back.note(&inner.readers, &piece, limit).await;
    let read_at = piece.complete_at();
    let complete_up_to = piece.events.last().map_or(cursor_exclusive, |event| event.position);
    Ok(EventPage { events: piece.events, complete_up_to, read_at })
}

/// A piece of the events of one partition.
pub(super) async fn partition_after(
    inner: &Inner,
    partition: Partition,
    cursor_exclusive: Position,
    limit: usize,
) -> PortResult<EventPage> {
    // One that does not exist has no events.
    let number = i16::try_from(partition.number()).unwrap_or(i16::MAX);
    let piece = async {
        let mut session = inner.readers.session().await?;
        let params: [&(dyn ToSql + Sync); 3] = [&cursor_exclusive.as_i64(), &limit_column(limit), &number];
        let rows = session.query(READ_PARTITION_AFTER, &params).await?;
        let decided_up_to = Row::first(&rows)?.get::<Option<i64>>("decided_up_to")?;
        let piece = Piece::read(&rows)?;
        let newest = piece.events.last().map_or(Position::START, |event| event.position);
        inner.safe.make(&mut session, newest).await?;
        let decided_up_to = Position::from_i64(decided_up_to.unwrap_or_default()).map_err(garbled)?;
        Ok((piece, decided_up_to))
    };
    let (piece, decided_up_to) = piece.await.map_err(Trouble::of_question)?;
    let read_at = piece.complete_at();
    let complete_up_to = match piece.events.last() {
        Some(last) if piece.events.len() >= limit => last.position,
        // Read by the same statement, so everything up to the last decided event was looked at.
        _ => decided_up_to.max(cursor_exclusive),
    };
    Ok(EventPage { events: piece.events, complete_up_to, read_at })
}

/// Events of one stream after a version.
pub(super) async fn stream_after(
    inner: &Inner,
    stream_id: &StreamId,
    version_exclusive: Version,
    limit: usize,
) -> PortResult<Vec<RecordedEvent>> {
    let events = async {
        let mut session = inner.readers.session().await?;
        let version = i64::from(version_exclusive.number());
        let rows = session.query(READ_STREAM_AFTER, &[&stream_id.as_str(), &version, &limit_column(limit)]).await?;
        let mut types = EventTypeInterner::default();
        let events = rows.iter().map(|row| Row(row).event(&mut types)).collect::<Result<Vec<_>, _>>()?;
        let newest = events.last().map_or(Position::START, |event| event.position);
        inner.safe.make(&mut session, newest).await?;
        Ok(events)
    };
    events.await.map_err(Trouble::of_question)
}

/// The last event that can be read.
pub(super) async fn look(inner: &Inner) -> PortResult<Position> {
    let look = async {
        let mut session = inner.readers.session().await?;
        let rows = session.query(LOOK, &[]).await?;
        let last: Option<i64> = Row::first(&rows)?.get("position")?;
        Position::from_i64(last.unwrap_or_default()).map_err(garbled)
    };
    look.await.map_err(Trouble::of_question)
}

fn limit_column(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A piece of the end of the table, and what the statement knew around it.
pub(super) struct Piece {
    pub(super) events: Vec<RecordedEvent>,
    /// What is here or later could still be joined by something before it.
    pub(super) undecided_from: Position,
    /// When the first event was recorded that is committed and not below that bound.
    pub(super) held_back_at: Option<Timestamp>,
    read_at: Timestamp,
}

impl Piece {
    /// From the rows, which are one per event, or one without.
    fn read(rows: &[tokio_postgres::Row]) -> Result<Self, Trouble> {
        let first = Row::first(rows)?;
        let mut piece = Self {
            events: Vec::with_capacity(rows.len()),
            undecided_from: first.position("undecided_from")?,
            held_back_at: first.get::<Option<Time>>("held_back_at")?.map(|time| time.0),
            read_at: first.time("read_at")?,
        };
        if first.get::<Option<i64>>("position")?.is_some() {
            let mut types = EventTypeInterner::default();
            for row in rows {
                piece.events.push(Row(row).event(&mut types)?);
            }
        }
        // They come so, as there is one way only to find them; it costs nothing to be sure.
        piece.events.sort_by_key(|event| event.position);
        Ok(piece)
    }

    /// The database's time up to which nothing is missing from what can be read.
    ///
    /// The statement came in before its snapshot was taken, so what was committed before it came is in the snapshot; where something of that is
    /// held back, only what was recorded before it is complete. What is in the piece was recorded before the snapshot too.
    fn complete_at(&self) -> Timestamp {
        let before = self.held_back_at.map_or(self.read_at, |time| time.min(self.read_at));
        self.events.iter().map(|event| event.recorded_at).max().map_or(before, |recorded_at| recorded_at.max(before))
    }
}
