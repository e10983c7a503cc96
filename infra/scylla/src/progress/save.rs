//! Saves progress.
//!
//! An older position changes nothing, by its write timestamp. At the same position the later save wins, by the time
//! with which the cell begins; but the clock of the process that saved before may be ahead. So a save reads the stored
//! rows while it writes, when that matters (see [`super::conflict_checks`]), and if it is superseded it writes once
//! more, with a later time.

use std::iter;

use diptych_kernel::ports::{PortError, PortResult, ProgressUpdate, Remedy};
use futures::future::try_join;
use tokio::time::Instant;

use super::{
    change_counter::ChangeCounter,
    load::{ProgressCollector, SavedColumn, StoredProgress},
    table::ProgressTable,
    view_group::ViewGroup,
};
use crate::{connection::Connection, timestamp};

/// The largest number of rows in one request. All of them together are one mutation.
const BATCH_ROWS_MAX: usize = 500;
/// The largest number of partitions in one conflict check. ScyllaDB refuses more than 100.
const CHECK_PARTITIONS_MAX: usize = 64;

/// A row to be saved, with its column values.
struct ProgressRow {
    group: ViewGroup,
    partition_column: i16,
    views_column: String,
    next_offset: i64,
}

impl ProgressTable {
    pub(crate) async fn save(
        &self,
        connection: &Connection,
        changes: &ChangeCounter,
        updates: &[ProgressUpdate],
    ) -> PortResult<()> {
        if updates.is_empty() {
            return Ok(());
        }
        let rows = ViewGroup::of(updates).into_iter().map(ProgressRow::new).collect::<PortResult<Vec<_>>>()?;
        let _change = changes.increment_on_drop();
        let (saved_at_micros, now) = (self.clock.next_after(0), Instant::now());
        let due: Vec<_> = parked_by_partition(&rows)
            .filter(|(partition, has_parked)| self.conflict_checks.is_due(*partition, *has_parked, now))
            .collect();
        let write = self.write(connection, rows.iter().map(|row| (row, saved_at_micros)));
        let check = self.load_stored(connection, &due, &rows);
        let (stored, ()) = try_join(check, write).await.map_err(partly_done)?;

        let superseded = rows.iter().filter_map(|row| {
            let later = row.superseded_by(saved_at_micros, &stored)?;
            Some((row, self.clock.next_after(later)))
        });
        self.write(connection, superseded).await.map_err(partly_done)?;
        for (partition, has_parked) in due {
            self.conflict_checks.record(partition, has_parked, now);
        }
        Ok(())
    }

    /// Loads the stored progress of the views of these rows, in these partitions.
    async fn load_stored(
        &self,
        connection: &Connection,
        due: &[(i16, bool)],
        rows: &[ProgressRow],
    ) -> PortResult<StoredProgress> {
        if due.is_empty() {
            return Ok(StoredProgress::new());
        }
        let mut collector = ProgressCollector::new(rows.iter().flat_map(|row| row.group.views.iter().copied()));
        let partitions: Vec<_> = due.iter().map(|(partition, _)| *partition).collect();
        for partitions in partitions.chunks(CHECK_PARTITIONS_MAX) {
            let what = "checking progress for conflicting saves";
            for columns in connection.read(what, &self.load_partitions, (partitions,)).await? {
                collector.add(columns)?;
            }
        }
        Ok(collector.stored)
    }

    /// Writes rows, each with the time of its save.
    async fn write<'a>(
        &self,
        connection: &Connection,
        rows: impl Iterator<Item = (&'a ProgressRow, i64)>,
    ) -> PortResult<()> {
        let values: Vec<_> = rows.map(|(row, saved_at_micros)| row.values(saved_at_micros)).collect();
        for values in values.chunks(BATCH_ROWS_MAX) {
            let statements = iter::repeat_n(&self.save, values.len());
            connection.execute_batch("saving progress", statements, values).await?;
        }
        Ok(())
    }
}

impl ProgressRow {
    fn new(group: ViewGroup) -> PortResult<Self> {
        let next_offset = i64::try_from(group.progress.next_offset.0)
            .map_err(|_| PortError::operator(format!("offset {} is too large", group.progress.next_offset.0)))?;
        let (partition_column, views_column) = (group.partition_column()?, group.views_column());
        Ok(Self { group, partition_column, views_column, next_offset })
    }

    fn values(&self, saved_at_micros: i64) -> (i64, SavedColumn, i16, &str) {
        let progress = &self.group.progress;
        let parked = progress.parked.iter().map(|parked| {
            (parked.stream_id.as_str().to_owned(), i64::from(parked.version.number()), parked.reason.clone())
        });
        let position = progress.position.as_i64();
        let saved = (saved_at_micros, position, progress.as_of.as_micros(), self.next_offset, parked.collect());
        (timestamp::of_position(progress.position), saved, self.partition_column, &self.views_column)
    }

    /// The time of the latest stored save of its views at its position, if that is not before its own.
    fn superseded_by(&self, saved_at_micros: i64, stored: &StoredProgress) -> Option<i64> {
        let ViewGroup { partition, views, progress } = &self.group;
        let of_views = views.iter().filter_map(|view| stored.get(&(*view, *partition)));
        let superseding = of_views.filter(|saved| {
            let is_ours = saved.saved_at_micros == saved_at_micros && saved.progress == *progress;
            saved.progress.position == progress.position && saved.saved_at_micros >= saved_at_micros && !is_ours
        });
        superseding.map(|saved| saved.saved_at_micros).max()
    }
}

/// Each partition once, and whether any view has parked streams in it.
fn parked_by_partition(rows: &[ProgressRow]) -> impl Iterator<Item = (i16, bool)> {
    let of_partitions = rows.chunk_by(|one, other| one.partition_column == other.partition_column);
    of_partitions.filter_map(|rows| {
        let has_parked = rows.iter().any(|row| !row.group.progress.parked.is_empty());
        Some((rows.first()?.partition_column, has_parked))
    })
}

/// The error of a save: a part of it may have happened, even if the request that failed had no effect.
fn partly_done(error: PortError) -> PortError {
    match error.remedy() {
        Remedy::Operator => error,
        Remedy::Retry => PortError::unknown("saving progress was interrupted").caused_by(error),
    }
}
