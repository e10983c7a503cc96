//! Forgets old request ids, and rotates the partitions of their table and the segments of events.
//!
//! The functions of the schema that change tables run with the rights of their owner, so that the role of a service
//! needs none; see migrations/V6__service_role.sql.

use diptych_kernel::{Timestamp, ports::PortResult};
use tokio_postgres::error::SqlState;

use super::resources::StoreResources;
use crate::driver::{Session, SqlRow, StatementError, Time, sql_state};

const BEGIN_PARTITION: &str = include_str!("../../queries/requests/begin_partition.sql");
const FORGET_REQUESTS: &str = include_str!("../../queries/requests/forget.sql");
const DROP_PARTITION: &str = include_str!("../../queries/requests/drop_partition.sql");
const PREPARE_SEGMENTS: &str = include_str!("../../queries/segments/prepare.sql");
const BEGIN_SEGMENT: &str = include_str!("../../queries/segments/begin.sql");

/// Number of segments that the positions of all events are divided into; see migrations/V4__event_segments.sql.
const SEGMENTS_MAX: i64 = 8_192;
/// Maximum number of requests that are counted when they are forgotten.
const COUNT_MAX: i64 = 100_000;

/// Forgets requests, and rotates tables.
///
/// First a new partition begins if the newest one is old enough, or contains requests to forget. So requests are
/// forgotten in older partitions only, by moving one mark, however many they are, and no row is deleted: a partition is
/// dropped when all of it is below the mark. More than `limit` may be forgotten at once; the next calls return the rest
/// of their number, up to a maximum.
pub(super) async fn forget(resources: &StoreResources, recorded_before: Timestamp, limit: usize) -> PortResult<usize> {
    if let Err(error) = rotate_event_segments(resources).await {
        let error = error.into_write_error();
        tracing::warn!(
            %error,
            "the segments of the table of events were not rotated: this is tried again with the next forgetting of \
             request ids, and the newest segment grows until then"
        );
    }
    let forgotten = async {
        // Not the session of the rotation, whose connection may be broken.
        let mut session = resources.writers.session().await?;
        let before = resources.retention.advance(&mut session, recorded_before).await?;
        let before = before.unwrap_or_default();
        forget_requests(resources, &mut session, before, limit).await
    };
    forgotten.await.map_err(StatementError::into_write_error)
}

async fn forget_requests(
    resources: &StoreResources,
    session: &mut Session,
    before: Timestamp,
    limit: usize,
) -> Result<usize, StatementError> {
    let interval_seconds = resources.request_partition_interval.as_secs_f64();
    let begun = is_done(session.write(BEGIN_PARTITION, &[&interval_seconds, &Time(before)]).await)?;
    let rows = session.write(FORGET_REQUESTS, &[&Time(before), &COUNT_MAX]).await?;
    let forgotten: Option<i64> = SqlRow::first(&rows)?.get("count")?;
    if forgotten.is_none() {
        resources.retention.report_refusal(before);
    }
    let dropped = is_done(session.write(DROP_PARTITION, &[]).await)?;
    if begun || dropped {
        tracing::info!(begun, dropped, "rotated the partitions of the table of request ids");
    }
    let mut unreported = resources.unreported_forgotten.lock();
    let total = unreported.saturating_add(usize::try_from(forgotten.unwrap_or_default()).unwrap_or_default());
    let reported = total.min(limit);
    *unreported = total - reported;
    Ok(reported)
}

/// Makes segments of the table of events ahead, and begins the next one if the newest is large enough.
async fn rotate_event_segments(resources: &StoreResources) -> Result<(), StatementError> {
    let mut session = resources.writers.session().await?;
    let size_min = i64::try_from(resources.event_segment_bytes).unwrap_or(i64::MAX);
    let prepared = session.write(PREPARE_SEGMENTS, &[]).await;
    if let Some(row) = prepared.as_ref().ok().and_then(|rows| rows.first()) {
        warn_of_last_segments(SqlRow(row).get("used_count")?);
    }
    let prepared = is_done(prepared)?;
    let begun = is_done(session.write(BEGIN_SEGMENT, &[&size_min]).await)?;
    if begun || prepared {
        tracing::info!(begun, prepared, "rotated the segments of the table of events");
    }
    Ok(())
}

/// Warns when few ranges of positions are left for segments.
fn warn_of_last_segments(used_count: i64) {
    if used_count >= SEGMENTS_MAX / 10 * 9 {
        tracing::warn!(
            used_count,
            max = SEGMENTS_MAX,
            "few segments of the table of events are left, and no event can be stored after the last: plan a move to a \
             new installation"
        );
    }
}

/// Returns whether the function did something; `false` if another transaction held the lock.
fn is_done(answer: Result<Vec<tokio_postgres::Row>, StatementError>) -> Result<bool, StatementError> {
    match answer {
        Ok(rows) => rows.first().map_or(Ok(false), |row| SqlRow(row).get("done")),
        Err(StatementError::Failed(error)) if sql_state(&error) == Some(&SqlState::LOCK_NOT_AVAILABLE) => Ok(false),
        Err(error) => Err(error),
    }
}
