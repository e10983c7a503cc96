//! Saving progress.
//!
//! A save writes its rows. An older position changes nothing, by its write timestamp. At the same position the later save wins, by the moment
//! with which the row begins; but the clock of whoever saved before may be ahead. So a save looks at what is there while it writes,
//! where that matters (see [`super::looks`]), and where it is overruled it writes once more, with a moment after that.

use std::{
    iter,
    sync::atomic::{AtomicI64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use diptych_kernel::ports::{PortError, PortResult, ProgressUpdate, Remedy};
use futures::future::try_join;
use tokio::time::Instant;

use super::{
    Changes, ProgressTable,
    load::{Found, SavedColumn, Stored},
    together::Together,
};
use crate::{connection::Connection, timestamp};

/// How many rows go in one request, at most. All of them together are one mutation.
const BATCH_ROWS_MAX: usize = 500;
/// How many partitions are asked for in one request, at most. ScyllaDB refuses more than 100.
const LOOK_PARTITIONS_MAX: usize = 64;

/// A row to be saved.
struct Row {
    together: Together,
    partition_column: i16,
    views_column: String,
    next_offset: i64,
}

impl ProgressTable {
    pub(crate) async fn save(
        &self,
        connection: &Connection,
        changes: &Changes,
        updates: &[ProgressUpdate],
    ) -> PortResult<()> {
        if updates.is_empty() {
            return Ok(());
        }
        let rows = Together::of(updates).into_iter().map(Row::new).collect::<PortResult<Vec<_>>>()?;
        let _announcement = changes.announce_at_the_end();
        let (stamp, now) = (self.stamps.next(0), Instant::now());
        let due: Vec<_> = parked_by_partition(&rows)
            .filter(|(partition, has_parked)| self.looks.is_due(*partition, *has_parked, now))
            .collect();
        let put = self.put(connection, rows.iter().map(|row| (row, stamp)));
        let (found, ()) = try_join(self.look(connection, &due, &rows), put).await.map_err(in_part)?;

        let overruled = rows.iter().filter_map(|row| Some((row, self.stamps.next(row.overruled_by(stamp, &found)?))));
        self.put(connection, overruled).await.map_err(in_part)?;
        for (partition, has_parked) in due {
            self.looks.note(partition, has_parked, now);
        }
        Ok(())
    }

    /// Reads what is there of the views of these rows, in these partitions.
    async fn look(&self, connection: &Connection, due: &[(i16, bool)], rows: &[Row]) -> PortResult<Stored> {
        if due.is_empty() {
            return Ok(Stored::new());
        }
        let mut found = Found::of(rows.iter().flat_map(|row| row.together.views.iter().copied()));
        let partitions: Vec<_> = due.iter().map(|(partition, _)| *partition).collect();
        for partitions in partitions.chunks(LOOK_PARTITIONS_MAX) {
            for columns in connection.read("looking at progress", &self.look, (partitions,)).await? {
                found.take(columns)?;
            }
        }
        Ok(found.stored)
    }

    /// Writes rows, each with the moment of its save.
    async fn put<'a>(&self, connection: &Connection, rows: impl Iterator<Item = (&'a Row, i64)>) -> PortResult<()> {
        let values: Vec<_> = rows.map(|(row, stamp)| row.values(stamp)).collect();
        for values in values.chunks(BATCH_ROWS_MAX) {
            let statements = iter::repeat_n(&self.put, values.len());
            connection.execute_batch("saving progress", statements, values).await?;
        }
        Ok(())
    }
}

impl Row {
    fn new(together: Together) -> PortResult<Self> {
        let next_offset = i64::try_from(together.progress.next_offset.0)
            .map_err(|_| PortError::operator(format!("offset {} is too large", together.progress.next_offset.0)))?;
        let (partition_column, views_column) = (together.partition_column()?, together.views_column());
        Ok(Self { together, partition_column, views_column, next_offset })
    }

    fn values(&self, stamp: i64) -> (i64, SavedColumn, i16, &str) {
        let progress = &self.together.progress;
        let parked = progress.parked.iter().map(|parked| {
            (parked.stream_id.as_str().to_owned(), i64::from(parked.version.number()), parked.reason.clone())
        });
        let position = progress.position.as_i64();
        let saved = (stamp, position, progress.as_of.as_micros(), self.next_offset, parked.collect());
        (timestamp::of_position(progress.position), saved, self.partition_column, &self.views_column)
    }

    /// The latest moment of what was found of its views at its position, where that is not before its own.
    fn overruled_by(&self, stamp: i64, found: &Stored) -> Option<i64> {
        let Together { partition, views, progress } = &self.together;
        let of_views = views.iter().filter_map(|view| found.get(&(*view, *partition)));
        let overruling = of_views.filter(|stored| {
            let is_ours = stored.stamp == stamp && stored.progress == *progress;
            stored.progress.position == progress.position && stored.stamp >= stamp && !is_ours
        });
        overruling.map(|stored| stored.stamp).max()
    }
}

/// Each partition once, and whether streams of it are parked in some view.
fn parked_by_partition(rows: &[Row]) -> impl Iterator<Item = (i16, bool)> {
    let of_partitions = rows.chunk_by(|one, other| one.partition_column == other.partition_column);
    of_partitions.filter_map(|rows| {
        let has_parked = rows.iter().any(|row| !row.together.progress.parked.is_empty());
        Some((rows.first()?.partition_column, has_parked))
    })
}

/// Of a save that failed some part may have happened, also where the failure itself left nothing behind.
fn in_part(error: PortError) -> PortError {
    match error.remedy() {
        Remedy::Operator => error,
        Remedy::Retry => PortError::unknown("saving progress was interrupted").caused_by(error),
    }
}

/// Moments in microseconds since 1970, each larger than the one before.
#[derive(Default)]
pub(super) struct Stamps {
    last: AtomicI64,
}

impl Stamps {
    /// The present, or as much later as it takes to be later than all that were given out and than `other`.
    fn next(&self, other: i64) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
        let now = i64::try_from(now).unwrap_or(i64::MAX).max(other.saturating_add(1));
        let last = self.last.fetch_max(now, Ordering::Relaxed);
        if now > last { now } else { self.last.fetch_add(1, Ordering::Relaxed) + 1 }
    }
}
