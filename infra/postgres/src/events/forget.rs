//! Deletes old request ids, and rotates the partitions of their table.

use diptych_kernel::{
    Timestamp,
    ports::{PortError, PortResult},
};
use tokio_postgres::error::SqlState;

use super::resources::StoreResources;
use crate::driver::{Session, SqlRow, StatementError, Time, sql_state};

const MARK_FORGOTTEN: &str = include_str!("../../queries/requests/mark_forgotten.sql");
const DELETE_FORGOTTEN: &str = include_str!("../../queries/requests/delete_forgotten.sql");
const BEGIN_PARTITION: &str = include_str!("../../queries/requests/begin_partition.sql");
const DROP_PARTITION: &str = include_str!("../../queries/requests/drop_partition.sql");
const PREPARE_SEGMENTS: &str = include_str!("../../queries/segments/prepare.sql");
const BEGIN_SEGMENT: &str = include_str!("../../queries/segments/begin.sql");

/// Forgets requests, and rotates the table's partitions.
///
/// In older partitions, requests are forgotten by moving one mark, however many they are, and a partition is dropped
/// when all of it is below the mark; such requests count up to `limit`. In the newest partition, which matters only if
/// ids are kept for a short time, rows are deleted, up to `limit`.
pub(super) async fn forget(resources: &StoreResources, recorded_before: Timestamp, limit: usize) -> PortResult<usize> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut session = resources.writers.session().await.map_err(StatementError::into_write_error)?;
    let marked =
        count(&mut session, MARK_FORGOTTEN, recorded_before, limit).await.map_err(StatementError::into_write_error)?;
    let deleted = if marked < limit {
        delete(&mut session, recorded_before, limit - marked).await.map_err(StatementError::into_write_error)?
    } else {
        0
    };
    drop(session);
    rotate_request_partitions(resources).await.map_err(StatementError::into_write_error)?;
    rotate_event_segments(resources).await.map_err(StatementError::into_write_error)?;
    usize::try_from(marked.saturating_add(deleted))
        .map_err(|_| PortError::unknown("the number of forgotten requests is out of range"))
}

async fn count(
    session: &mut Session,
    statement: &'static str,
    before: Timestamp,
    limit: i64,
) -> Result<i64, StatementError> {
    let rows = session.write(statement, &[&Time(before), &limit]).await?;
    SqlRow::first(&rows)?.get("count")
}

async fn delete(session: &mut Session, before: Timestamp, limit: i64) -> Result<i64, StatementError> {
    count(session, DELETE_FORGOTTEN, before, limit).await
}

/// Begins a new partition if the newest one is old enough, and drops one that is forgotten. Both need a lock for a
/// moment, and are skipped until the next call if they do not get it soon.
async fn rotate_request_partitions(resources: &StoreResources) -> Result<(), StatementError> {
    let interval_seconds = resources.request_partition_interval.as_secs_f64();
    let mut session = resources.writers.session().await?;
    let begun = is_done(session.write(BEGIN_PARTITION, &[&interval_seconds]).await)?;
    let dropped = is_done(session.write(DROP_PARTITION, &[]).await)?;
    if begun || dropped {
        tracing::info!(begun, dropped, "rotated the partitions of the table of request ids");
    }
    Ok(())
}

/// Makes segments of the table of events ahead, and begins the next one if the newest is large enough.
async fn rotate_event_segments(resources: &StoreResources) -> Result<(), StatementError> {
    let size_min = i64::try_from(resources.event_segment_bytes).unwrap_or(i64::MAX);
    let mut session = resources.writers.session().await?;
    let prepared = is_done(session.write(PREPARE_SEGMENTS, &[]).await)?;
    let begun = is_done(session.write(BEGIN_SEGMENT, &[&size_min]).await)?;
    if begun || prepared {
        tracing::info!(begun, prepared, "rotated the segments of the table of events");
    }
    Ok(())
}

/// Returns whether the function did something; `false` if another transaction held the lock.
fn is_done(answer: Result<Vec<tokio_postgres::Row>, StatementError>) -> Result<bool, StatementError> {
    match answer {
        Ok(rows) => rows.first().map_or(Ok(false), |row| SqlRow(row).get("done")),
        Err(StatementError::Failed(error)) if sql_state(&error) == Some(&SqlState::LOCK_NOT_AVAILABLE) => Ok(false),
        Err(error) => Err(error),
    }
}
