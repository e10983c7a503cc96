//! Comparison of events and snapshots with their checksums.

use diptych_kernel::{
    Position, StreamId,
    ports::{ChecksumPage, Damage, PortResult, StoredChecksums},
    vocabulary::Checksum,
};
use rusqlite::{Connection, params};

use super::EmbeddedEventStore;
use crate::database::{TransactionError, row};

impl StoredChecksums for EmbeddedEventStore {
    async fn compare_events(&self, after_exclusive: Position, limit: usize) -> PortResult<ChecksumPage<Position>> {
        self.database.read(move |connection| compare_events(connection, after_exclusive, limit)).await
    }

    async fn compare_snapshots(
        &self,
        after_exclusive: Option<&StreamId>,
        limit: usize,
    ) -> PortResult<ChecksumPage<StreamId>> {
        let after = after_exclusive.map(|stream_id| stream_id.as_str().to_owned()).unwrap_or_default();
        self.database.read(move |connection| compare_snapshots(connection, &after, limit)).await
    }
}

fn compare_events(
    connection: &Connection,
    after_exclusive: Position,
    limit: usize,
) -> Result<ChecksumPage<Position>, TransactionError> {
    let mut select = connection.prepare_cached(
        "SELECT position, version, request_id, stream_id, event_type, payload, checksum FROM events
         WHERE position > ?1 ORDER BY position LIMIT ?2",
    )?;
    let mut rows = select.query(params![after_exclusive.as_i64(), i64::try_from(limit).unwrap_or(i64::MAX)])?;
    let mut read = Vec::new();
    while let Some(row) = rows.next()? {
        let (position, version, request_id) = (row::position(row, 0)?, row::version(row, 1)?, row::request_id(row, 2)?);
        let (stream_id, event_type) = (row::stream_id(row, 3)?, row.get_ref(4)?.as_str().map_err(row::corrupt)?);
        let payload = row.get_ref(5)?.as_blob().map_err(row::corrupt)?;
        let computed = Checksum::of_event(position, version, request_id, &stream_id, event_type, payload);
        let stored = row.get_ref(6)?.as_blob_or_null().map_err(row::corrupt)?;
        let is_damaged = stored.map(|stored| stored != computed.as_bytes());
        let damage = is_damaged.map(|is_damaged| is_damaged.then_some(Damage::Event { position, stream_id, version }));
        read.push((position, damage));
    }
    Ok(ChecksumPage::new(read, limit))
}

fn compare_snapshots(
    connection: &Connection,
    after_exclusive: &str,
    limit: usize,
) -> Result<ChecksumPage<StreamId>, TransactionError> {
    let mut select = connection.prepare_cached(
        "SELECT stream_id, version, format, state, checksum FROM snapshots
         WHERE stream_id > ?1 ORDER BY stream_id LIMIT ?2",
    )?;
    let mut rows = select.query(params![after_exclusive, i64::try_from(limit).unwrap_or(i64::MAX)])?;
    let mut read = Vec::new();
    while let Some(row) = rows.next()? {
        let (stream_id, version) = (row::stream_id(row, 0)?, row::version(row, 1)?);
        let state = row.get_ref(3)?.as_blob().map_err(row::corrupt)?;
        let computed = Checksum::of_snapshot(version, row.get(2)?, &stream_id, state);
        let stored = row.get_ref(4)?.as_blob_or_null().map_err(row::corrupt)?;
        let is_damaged = stored.map(|stored| stored != computed.as_bytes());
        let cursor = stream_id.clone();
        let damage = is_damaged.map(|is_damaged| is_damaged.then_some(Damage::Snapshot { stream_id, version }));
        read.push((cursor, damage));
    }
    Ok(ChecksumPage::new(read, limit))
}
