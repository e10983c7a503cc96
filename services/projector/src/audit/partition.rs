//! The rows that the events of one partition make.

use std::collections::HashMap;

use diptych_kernel::{
    Partition, Position, RecordedEvent,
    domain::{Domain, RowKey, Scope, ViewId},
    ports::{EventStore, PortResult, Progress, ProgressStore, Row, ViewStore},
};

use super::{
    ATTEMPTS_MAX, Audit, AuditReport, Difference, Finding, READ_EVENTS, READ_ROWS,
    replay::{Replay, Rows},
};

/// What the audit of one partition found.
#[derive(Default)]
struct Found {
    rows: Rows,
    differences: Vec<Difference>,
    events: u64,
    not_yet_projected: u64,
}

impl<D: Domain, S: EventStore, V: ViewStore, P: ProgressStore> Audit<'_, D, S, V, P> {
    /// Compares the rows of a partition. Where they differ and progress has moved meanwhile, looks again: a stream may just have
    /// been taken up again.
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
            report.differ(difference);
        }
        for (view, progress) in progress {
            report.parked.extend(progress.parked.into_iter().map(|parked| (view, partition, parked)));
        }
        Ok(())
    }

    async fn compare_partition(&self, partition: Partition, progress: &HashMap<ViewId, Progress>) -> PortResult<Found> {
        let mut found = self.replay_partition(partition, progress).await?;
        let moved = self.compare_rows(&mut found).await?;
        if !moved.is_empty() {
            let differences = self.compare_moved(partition, moved).await?;
            found.differences.extend(differences);
        }
        Ok(found)
    }

    /// Folds every event that the views have taken in according to their progress.
    async fn replay_partition(&self, partition: Partition, progress: &HashMap<ViewId, Progress>) -> PortResult<Found> {
        let reached = progress.values().map(|progress| progress.position).max().unwrap_or_default();
        let mut replay = Replay::<D>::new(&self.folds);
        let mut found = Found::default();
        let partitions = self.events.partitions();
        self.each_event(partition, None, |record| {
            if partitions.of(&record.stream_id) != partition {
                let stream_id = record.stream_id.clone();
                found.differences.push(Difference::WrongPartition { stream_id, found: partition });
            }
            found.events += 1;
            if record.position > reached {
                found.not_yet_projected += 1;
            } else if !stands_still_everywhere(progress, record) {
                replay.fold(record, |view, _| has_taken(progress, view, record));
            }
        })
        .await?;
        found.rows = replay.rows;
        found.differences.append(&mut replay.differences);
        Ok(found)
    }

    /// Compares rows with what is stored; returns those that have moved on since progress was read, with where they stand now.
    async fn compare_rows(&self, found: &mut Found) -> PortResult<Vec<((ViewId, RowKey), Row)>> {
        let mut moved = Vec::new();
        for view in self.ids() {
            let keys: Vec<&RowKey> = found.rows.keys().filter(|place| place.0 == view).map(|place| &place.1).collect();
            for keys in keys.chunks(READ_ROWS) {
                let keys: Vec<RowKey> = keys.iter().map(|key| (*key).clone()).collect();
                let stored = self.views.read(view, &keys).await?;
                for (key, stored) in keys.into_iter().zip(stored) {
                    let place = (view, key);
                    let Some(expected) = found.rows.get(&place) else { continue };
                    match stored {
                        Some(stored) if stored.position > expected.position => moved.push((place, stored)),
                        stored => found.differences.extend(compare(&place, expected, stored.as_ref())),
                    }
                }
            }
        }
        Ok(moved)
    }

    /// Compares rows with the fold of their events up to exactly where they stand.
    pub(super) async fn compare_moved(
        &self,
        partition: Partition,
        moved: Vec<((ViewId, RowKey), Row)>,
    ) -> PortResult<Vec<Difference>> {
        let moved: HashMap<(ViewId, RowKey), Row> = moved.into_iter().collect();
        let up_to = moved.values().map(|row| row.position).max().unwrap_or_default();
        let mut replay = Replay::<D>::new(&self.folds);
        self.each_event(partition, Some(up_to), |record| {
            replay.fold(record, |view, key| {
                moved.get(&(view, key.clone())).is_some_and(|row| record.position <= row.position)
            });
        })
        .await?;
        // What cannot be read was reported by the first replay, where it is not parked.
        let expected = replay.rows;
        // A view that was made anew has its rows at a later position than that of their own last event.
        let is_made_anew = |place: &(ViewId, RowKey)| {
            self.folds.iter().any(|fold| fold.id() == place.0 && fold.scope() == Scope::Partition)
        };
        let compare_one = |(place, stored): (&(ViewId, RowKey), &Row)| match expected.get(place) {
            Some(expected) if is_made_anew(place) && expected.body == stored.body => None,
            Some(expected) => compare(place, expected, Some(stored)),
            None => Some(row_difference(place, Finding::Extra { stored: stored.position })),
        };
        Ok(moved.iter().filter_map(compare_one).collect())
    }

    /// Calls `each` with every event of a partition up to a position, inclusive, or to the end.
    async fn each_event(
        &self,
        partition: Partition,
        up_to: Option<Position>,
        mut each: impl FnMut(&RecordedEvent),
    ) -> PortResult<()> {
        let mut cursor = Position::START;
        loop {
            let tail = self.events.read_partition_after(partition, cursor, READ_EVENTS).await?;
            for record in &tail.events {
                if up_to.is_some_and(|up_to| record.position > up_to) {
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

/// Whether the view has the event in its rows.
fn has_taken(progress: &HashMap<ViewId, Progress>, view: ViewId, record: &RecordedEvent) -> bool {
    progress.get(&view).is_some_and(|progress| record.position <= progress.position && !stands_still(progress, record))
}

fn stands_still(progress: &Progress, record: &RecordedEvent) -> bool {
    progress.parked.iter().any(|parked| parked.stream_id == record.stream_id && parked.version <= record.version)
}

/// Whether the event is in no view: then that it cannot be read is known.
fn stands_still_everywhere(progress: &HashMap<ViewId, Progress>, record: &RecordedEvent) -> bool {
    progress.values().all(|progress| record.position > progress.position || stands_still(progress, record))
}

fn compare(place: &(ViewId, RowKey), expected: &Row, stored: Option<&Row>) -> Option<Difference> {
    let finding = match stored {
        None if expected.body.is_none() => return None,
        None => Finding::Missing { expected: expected.position },
        Some(stored) if stored == expected => return None,
        Some(stored) if stored.position == expected.position => Finding::Altered { position: stored.position },
        Some(stored) => Finding::Misplaced { expected: expected.position, stored: stored.position },
    };
    Some(row_difference(place, finding))
}

pub(super) fn row_difference(place: &(ViewId, RowKey), finding: Finding) -> Difference {
    Difference::Row { view: place.0, key: place.1.clone(), finding }
}
