//! Comparison of events and snapshots with their checksums, by the server.

use diptych_kernel::{
    Position, StreamId,
    ports::{ChecksumPage, Damage, PortResult, StoredChecksums},
};

use super::PostgresEventStore;
use crate::driver::{Pool, SqlRow, StatementError};

const EVENTS: &str = include_str!("../../queries/checksums/events.sql");
const SNAPSHOTS: &str = include_str!("../../queries/checksums/snapshots.sql");

impl StoredChecksums for PostgresEventStore {
    async fn compare_events(&self, after_exclusive: Position, limit: usize) -> PortResult<ChecksumPage<Position>> {
        compare_events(self.readers(), after_exclusive, limit).await.map_err(StatementError::into_read_error)
    }

    async fn compare_snapshots(
        &self,
        after_exclusive: Option<&StreamId>,
        limit: usize,
    ) -> PortResult<ChecksumPage<StreamId>> {
        compare_snapshots(self.readers(), after_exclusive, limit).await.map_err(StatementError::into_read_error)
    }
}

async fn compare_events(
    readers: &Pool,
    after_exclusive: Position,
    limit: usize,
) -> Result<ChecksumPage<Position>, StatementError> {
    let mut session = readers.session().await?;
    let rows = session.query(EVENTS, &[&after_exclusive.as_i64(), &limit_column(limit)]).await?;
    let read = rows.iter().map(SqlRow).map(|row| {
        let (position, stream_id, version) =
            (row.position("position")?, row.stream_id("stream_id")?, row.version("version")?);
        let is_damaged: Option<bool> = row.get("is_damaged")?;
        let damage = is_damaged.map(|is_damaged| is_damaged.then_some(Damage::Event { position, stream_id, version }));
        Ok((position, damage))
    });
    Ok(ChecksumPage::new(read.collect::<Result<_, StatementError>>()?, limit))
}

async fn compare_snapshots(
    readers: &Pool,
    after_exclusive: Option<&StreamId>,
    limit: usize,
) -> Result<ChecksumPage<StreamId>, StatementError> {
    let after = after_exclusive.map(StreamId::as_str).unwrap_or_default();
    let mut session = readers.session().await?;
    let rows = session.query(SNAPSHOTS, &[&after, &limit_column(limit)]).await?;
    let read = rows.iter().map(SqlRow).map(|row| {
        let (stream_id, version) = (row.stream_id("stream_id")?, row.version("version")?);
        let is_damaged: Option<bool> = row.get("is_damaged")?;
        let cursor = stream_id.clone();
        let damage = is_damaged.map(|is_damaged| is_damaged.then_some(Damage::Snapshot { stream_id, version }));
        Ok((cursor, damage))
    });
    Ok(ChecksumPage::new(read.collect::<Result<_, StatementError>>()?, limit))
}

fn limit_column(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
