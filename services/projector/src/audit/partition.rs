//! Audit of the rows made by the events of one partition.

use std::collections::HashMap;

use diptych_kernel::{
    Partition, Position, RecordedEvent,
    domain::{Domain, RowKey, Scope, ViewId},
    ports::{EventStore, PortResult, Progress, ProgressStore, Row, ViewStore},
};

use super::{
    ATTEMPTS_MAX, Audit, READ_EVENTS, READ_ROWS,
    replay::{Replay, RowId, Rows},
    report::{AuditReport, Difference, Finding},
};

/// A stored row with its identity.
pub(super) type StoredRow = (RowId, Row);

/// The result of the audit of one partition.
#[derive(Default)]
struct PartitionResult {
    rows: Rows,
    differences: Vec<Difference>,
    events: u64,
    not_yet_projected: u64,
}

impl<D: Domain, S: EventStore, V: ViewStore, P: ProgressStore> Audit<'_, D, S, V, P> {
    /// Compares the rows of a partition. Where they differ and progress has changed meanwhile, compares again: a parked
    /// stream may just have been resumed.
    pub(super) async fn partition(&self, partition: Partition, report: &mut AuditReport) -> PortResult<()> {
        let mut progress = self.progress_of(partition).await?;
        let mut found = self.compare_partition(partition, &progress).await?;
        for _ in 1..ATTEMPTS_MAX {
            let now = self.progress_of(partition).await?;
            if found.differences.is_empty() || now == progress {
                break;
            }
            progress = now;
            found = self.compare_partition(partition, &progress).await?;
        }
        report.events += found.events;
        report.events_not_yet_projected += found.not_yet_projected;
        for (view, key) in found.rows.keys() {
            report.expect_row(*view, key);
        }
        for difference in found.differences {
            report.add_difference(difference);
        }
        for (view, progress) in progress {
            report.parked.extend(progress.parked.into_iter().map(|parked| (view, partition, parked)));
        }
        Ok(())
    }

    async fn compare_partition(
        &self,
        partition: Partition,
        progress: &HashMap<ViewId, Progress>,
    ) -> PortResult<PartitionResult> {
        let mut found = self.replay_partition(partition, progress).await?;
        let updated = self.compare_rows(&mut found).await?;
        if !updated.is_empty() {
            let differences = self.compare_updated(partition, updated).await?;
            found.differences.extend(differences);
        }
        Ok(found)
    }

    /// Folds every event that is in the views according to their progress.
    async fn replay_partition(
        &self,
        partition: Partition,
        progress: &HashMap<ViewId, Progress>,
    ) -> PortResult<PartitionResult> {
        let reached = progress.values().map(|progress| progress.position).max().unwrap_or_default();
        let mut replay = Replay::<D>::new(&self.folds);
        let mut found = PartitionResult::default();
        let partitions = self.events.partitions();
        self.each_event(partition, None, |record| {
            if partitions.of(&record.stream_id) != partition {
                let stream_id = record.stream_id.clone();
                found.differences.push(Difference::WrongPartition { stream_id, found: partition });
            }
            found.events += 1;
            if record.position > reached {
                found.not_yet_projected += 1;
            } else if !is_in_no_view(progress, record) {
                replay.fold(record, |view, _| is_in_view(progress, view, record));
            }
        })
        .await?;
        found.rows = replay.rows;
        found.differences.append(&mut replay.differences);
        Ok(found)
    }

    /// Compares rows with the stored ones; returns the stored rows that were updated since progress was read.
    async fn compare_rows(&self, found: &mut PartitionResult) -> PortResult<Vec<StoredRow>> {
        let mut updated = Vec::new();
        for view in self.ids() {
            let keys: Vec<&RowKey> = found.rows.keys().filter(|id| id.0 == view).map(|id| &id.1).collect();
            for keys in keys.chunks(READ_ROWS) {
                let keys: Vec<RowKey> = keys.iter().map(|key| (*key).clone()).collect();
                let stored = self.views.read(view, &keys).await?;
                for (key, stored) in keys.into_iter().zip(stored) {
                    let id = (view, key);
                    let Some(expected) = found.rows.get(&id) else { continue };
                    match stored {
                        Some(stored) if stored.position > expected.position => updated.push((id, stored)),
                        stored => found.differences.extend(compare(&id, expected, stored.as_ref())),
                    }
                }
            }
        }
        Ok(updated)
    }

    /// Compares rows with the fold of their events up to exactly their positions.
    pub(super) async fn compare_updated(
        &self,
        partition: Partition,
        updated: Vec<StoredRow>,
    ) -> PortResult<Vec<Difference>> {
        let updated: HashMap<RowId, Row> = updated.into_iter().collect();
        let up_to = updated.values().map(|row| row.position).max().unwrap_or_default();
        let mut replay = Replay::<D>::new(&self.folds);
        self.each_event(partition, Some(up_to), |record| {
            replay.fold(record, |view, key| {
                updated.get(&(view, key.clone())).is_some_and(|row| record.position <= row.position)
            });
        })
        .await?;
        // Unreadable events that are not parked were reported by the first replay.
        let expected = replay.rows;
        // A rebuild may have written rows at a later position than that of their own last event.
        let may_be_rebuilt =
            |id: &RowId| self.folds.iter().any(|fold| fold.id() == id.0 && fold.scope() == Scope::Partition);
        let compare_one = |(id, stored): (&RowId, &Row)| match expected.get(id) {
            Some(expected) if may_be_rebuilt(id) && expected.body == stored.body => None,
            Some(expected) => compare(id, expected, Some(stored)),
            None => Some(row_difference(id, Finding::Extra { stored: stored.position })),
        };
        Ok(updated.iter().filter_map(compare_one).collect())
    }

    /// Calls `each` for every event of a partition, up to a position (inclusive) or to the end.
    async fn each_event(
        &self,
        partition: Partition,
        up_to_inclusive: Option<Position>,
        mut each: impl FnMut(&RecordedEvent),
    ) -> PortResult<()> {
        let mut cursor = Position::START;
        loop {
            let tail = self.events.read_partition_after(partition, cursor, READ_EVENTS).await?;
            for record in &tail.events {
                if up_to_inclusive.is_some_and(|up_to| record.position > up_to) {
                    return Ok(());
                }
                each(record);
                cursor = record.position;
            }
            if tail.events.len() < READ_EVENTS {
                return Ok(());
            }
        }
    }
}

/// Whether the event is in the view's rows according to its progress.
fn is_in_view(progress: &HashMap<ViewId, Progress>, view: ViewId, record: &RecordedEvent) -> bool {
    progress.get(&view).is_some_and(|progress| record.position <= progress.position && !is_parked(progress, record))
}

fn is_parked(progress: &Progress, record: &RecordedEvent) -> bool {
    progress.parked.iter().any(|parked| parked.stream_id == record.stream_id && parked.version <= record.version)
}

/// Whether the event is in no view: then it is already reported as parked or not projected, so it need not be readable.
fn is_in_no_view(progress: &HashMap<ViewId, Progress>, record: &RecordedEvent) -> bool {
    progress.values().all(|progress| record.position > progress.position || is_parked(progress, record))
}

fn compare(id: &RowId, expected: &Row, stored: Option<&Row>) -> Option<Difference> {
    let finding = match stored {
        None if expected.body.is_none() => return None,
        None => Finding::Missing { expected: expected.position },
        Some(stored) if stored == expected => return None,
        Some(stored) if stored.position == expected.position => Finding::Altered { position: stored.position },
        Some(stored) => Finding::Misplaced { expected: expected.position, stored: stored.position },
    };
    Some(row_difference(id, finding))
}

pub(super) fn row_difference(id: &RowId, finding: Finding) -> Difference {
    Difference::Row { view: id.0, key: id.1.clone(), finding }
}
