//! Saving progress.
//!
//! Three things never go back, and a save that comes with an older position changes nothing at all. The first is what write timestamps
//! are for. The second cannot be left to the server, as time and offset have timestamps of their own, so a save looks at what is there:
//!
//! 1. Position and parked streams are written, and at the same time what is there is read. The position is what everybody waits for, and
//!    if it is an older one its timestamp sees to it that nothing changes.
//! 2. Unless there was a larger position, time and offset are written.
//!
//! Whoever reads in between sees the new position with a time and an offset that are behind, which promises less than is true. Saves at
//! the same time come out as if they had come one after the other.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicI64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use diptych_kernel::{
    Partition,
    domain::ViewId,
    ports::{PortError, PortResult, Progress, ProgressUpdate, Remedy},
};
use futures::{TryStreamExt, future::try_join, stream};
use scylla::{
    serialize::row::SerializeRow,
    statement::{
        batch::{Batch, BatchStatement, BatchType},
        prepared::PreparedStatement,
    },
};

use super::{Changes, ParkedColumn, ProgressTable, load::Stored};
use crate::{connection::Connection, timestamp};

/// How many statements go in one request, at most. All of them together are one mutation.
const BATCH_STATEMENTS_MAX: usize = 500;
/// How many rows are asked for in one request, at most. ScyllaDB refuses more than 100.
const LOOK_ROWS_MAX: usize = 64;

/// A row to be saved.
struct Saved {
    view: ViewId,
    view_name: String,
    partition: Partition,
    partition_column: i16,
    next_offset: i64,
    progress: Progress,
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
        let saved = merge(updates)?;
        let _announcement = changes.announce_at_the_end();
        let stamp = self.stamps.next(0);
        let positions = self.put_positions(connection, saved.iter().map(|saved| (saved, stamp)));
        let (found, ()) = try_join(self.look(connection, &saved), positions).await.map_err(in_part)?;
        changes.announce();

        let (mut newer, mut overruled) = (Vec::new(), Vec::new());
        for saved in &saved {
            let stored = found.get(&(saved.view, saved.partition));
            if stored.is_some_and(|stored| stored.progress.position > saved.progress.position) {
                continue;
            }
            newer.push(saved);
            if let Some(later) = stored.and_then(|stored| self.overruled_by(saved, stamp, stored)) {
                overruled.push((saved, later));
            }
        }
        let overruled = self.put_positions(connection, overruled.into_iter());
        try_join(overruled, self.put_times_and_offsets(connection, &newer)).await.map(|_| ()).map_err(in_part)
    }

    /// The list of parked streams that is there may have been saved by a process whose clock is ahead of ours. Then ours needs a later
    /// stamp.
    fn overruled_by(&self, saved: &Saved, stamp: i64, stored: &Stored) -> Option<i64> {
        let is_level = stored.progress.position == saved.progress.position;
        let is_ours = stored.stamp == stamp && stored.progress.parked == saved.progress.parked;
        (is_level && stored.stamp >= stamp && !is_ours).then(|| self.stamps.next(stored.stamp))
    }

    /// Reads what is there of these rows, and perhaps of some more.
    async fn look(
        &self,
        connection: &Connection,
        saved: &[Saved],
    ) -> PortResult<BTreeMap<(ViewId, Partition), Stored>> {
        let views: BTreeMap<_, _> = saved.iter().map(|saved| (&*saved.view_name, saved.view)).collect();
        let partitions: BTreeSet<_> = saved.iter().map(|saved| saved.partition_column).collect();
        let (names, partitions) = (views.keys().copied().collect::<Vec<_>>(), Vec::from_iter(partitions));
        let mut questions = Vec::new();
        for names in names.chunks(LOOK_ROWS_MAX) {
            questions.extend(partitions.chunks(LOOK_ROWS_MAX / names.len()).map(|partitions| (names, partitions)));
        }
        let found = stream::iter(questions.into_iter().map(Ok));
        found
            .try_fold(BTreeMap::new(), async |mut found, question| {
                for columns in connection.read("looking at progress", &self.look, question).await? {
                    let stored = Stored::from_columns(columns, &views)?;
                    found.extend(stored.map(|stored| ((stored.view, stored.partition), stored)));
                }
                Ok(found)
            })
            .await
    }

    /// Writes positions and parked streams, each with a stamp.
    async fn put_positions<'a>(
        &self,
        connection: &Connection,
        rows: impl Iterator<Item = (&'a Saved, i64)>,
    ) -> PortResult<()> {
        let values = rows.map(|(saved, stamp)| {
            let Saved { view_name, partition_column, progress, .. } = saved;
            let timestamp = timestamp::of_position(progress.position);
            (timestamp, progress.position.as_i64(), parked_column(stamp, progress), &**view_name, *partition_column)
        });
        put(connection, &[&self.put_position], values.collect()).await
    }

    async fn put_times_and_offsets(&self, connection: &Connection, rows: &[&Saved]) -> PortResult<()> {
        let values = rows.iter().flat_map(|saved| {
            let Saved { view_name, partition_column, next_offset, progress, .. } = saved;
            let as_of = (timestamp::of_time(progress.as_of), progress.as_of.as_micros());
            let next_offset = (timestamp::of_offset(progress.next_offset), *next_offset);
            [as_of, next_offset].map(|(timestamp, value)| (timestamp, value, &**view_name, *partition_column))
        });
        put(connection, &[&self.put_as_of, &self.put_next_offset], values.collect()).await
    }
}

/// Executes statements, taking turns, with these values. All rows are in one partition of the table, so a request is one mutation.
async fn put(
    connection: &Connection,
    statements: &[&PreparedStatement],
    values: Vec<impl SerializeRow>,
) -> PortResult<()> {
    for values in values.chunks(BATCH_STATEMENTS_MAX) {
        let in_turn = statements.iter().cycle().take(values.len());
        let in_turn = in_turn.map(|statement| BatchStatement::from((*statement).clone())).collect();
        let mut batch = Batch::new_with_statements(BatchType::Unlogged, in_turn);
        batch.set_is_idempotent(true);
        connection.execute_batch("saving progress", &batch, values).await?;
    }
    Ok(())
}

/// One row per view and partition, as if the updates had been saved one after the other.
fn merge(updates: &[ProgressUpdate]) -> PortResult<Vec<Saved>> {
    let mut merged = BTreeMap::<(ViewId, Partition), Progress>::new();
    for ProgressUpdate { view, partition, progress } in updates {
        let kept = merged.entry((*view, *partition)).or_insert_with(|| progress.clone());
        if progress.position >= kept.position {
            *kept = Progress {
                as_of: progress.as_of.max(kept.as_of),
                next_offset: progress.next_offset.max(kept.next_offset),
                ..progress.clone()
            };
        }
    }
    let saved = |((view, partition), progress): ((ViewId, Partition), Progress)| {
        let partition_column = i16::try_from(partition.number())
            .map_err(|_| PortError::operator(format!("partition {partition} is too large")))?;
        let next_offset = i64::try_from(progress.next_offset.0)
            .map_err(|_| PortError::operator(format!("offset {} is too large", progress.next_offset.0)))?;
        Ok(Saved { view, view_name: view.to_string(), partition, partition_column, next_offset, progress })
    };
    merged.into_iter().map(saved).collect()
}

fn parked_column(stamp: i64, progress: &Progress) -> ParkedColumn {
    let streams = progress.parked.iter().map(|parked| {
        (parked.stream_id.as_str().to_owned(), i64::from(parked.version.number()), parked.reason.clone())
    });
    (stamp, streams.collect())
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
