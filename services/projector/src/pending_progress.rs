//! Progress that was announced and is not saved yet.

use std::{collections::BTreeMap, mem::take, time::Duration};

use diptych_kernel::{Partition, ports::ProgressUpdate};
use tokio::time::Instant;

/// The newest progress of each partition that is to be saved, and the time when it is due. Its rows are durable and
/// waiting readers were notified through the cache; a crash before the save only repeats a few more batches.
#[derive(Debug, Default)]
pub(crate) struct PendingProgress {
    updates: BTreeMap<Partition, Vec<ProgressUpdate>>,
    due_at: Option<Instant>,
}

impl PendingProgress {
    /// Adds progress, replacing older progress of the same partitions. Everything is due an interval after the first
    /// addition.
    pub(crate) fn add(&mut self, updates: Vec<ProgressUpdate>, interval: Duration) {
        let mut of_partitions: BTreeMap<Partition, Vec<ProgressUpdate>> = BTreeMap::new();
        for update in updates {
            of_partitions.entry(update.partition).or_default().push(update);
        }
        if !of_partitions.is_empty() {
            self.due_at.get_or_insert_with(|| Instant::now() + interval);
        }
        self.updates.append(&mut of_partitions);
    }

    /// The time when it is due, if there is any.
    pub(crate) fn due_at(&self) -> Option<Instant> {
        self.due_at
    }

    /// Removes and returns all of it, if it is due.
    pub(crate) fn take_due(&mut self) -> Vec<ProgressUpdate> {
        if self.due_at.is_some_and(|at| at <= Instant::now()) { self.take_all() } else { Vec::new() }
    }

    /// Removes and returns all of it.
    pub(crate) fn take_all(&mut self) -> Vec<ProgressUpdate> {
        self.due_at = None;
        take(&mut self.updates).into_values().flatten().collect()
    }

    /// Removes the progress of partitions whose newer progress is saved, or that were released.
    pub(crate) fn remove(&mut self, partitions: &[Partition]) {
        self.updates.retain(|partition, _| !partitions.contains(partition));
        if self.updates.is_empty() {
            self.due_at = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use diptych_kernel::{Position, ports::Progress};

    use super::*;
    use crate::stream_versions::STREAM_VERSIONS;

    const INTERVAL: Duration = Duration::from_millis(10);

    fn update(partition: u16, at: i64) -> ProgressUpdate {
        let progress = Progress { position: Position::from_i64(at).unwrap(), ..Progress::default() };
        ProgressUpdate { view: STREAM_VERSIONS, partition: Partition::new(partition), progress }
    }

    #[tokio::test(start_paused = true)]
    async fn the_newest_progress_of_each_partition_is_due_an_interval_after_the_first() {
        let mut pending = PendingProgress::default();
        pending.add(vec![update(1, 5), update(2, 6)], INTERVAL);
        tokio::time::advance(INTERVAL / 2).await;
        pending.add(vec![update(1, 7)], INTERVAL);
        assert_eq!((pending.take_due(), pending.due_at()), (vec![], Some(Instant::now() + INTERVAL / 2)));
        tokio::time::advance(INTERVAL / 2).await;
        assert_eq!(pending.take_due(), [update(1, 7), update(2, 6)]);
        assert_eq!((pending.take_all(), pending.due_at()), (vec![], None));
    }

    #[tokio::test(start_paused = true)]
    async fn removed_progress_is_not_saved_again() {
        let mut pending = PendingProgress::default();
        pending.add(vec![update(1, 5), update(2, 6)], INTERVAL);
        pending.remove(&[Partition::new(1)]);
        assert!(pending.due_at().is_some());
        assert_eq!(pending.take_all(), [update(2, 6)]);
        pending.add(vec![update(1, 5)], INTERVAL);
        pending.remove(&[Partition::new(1)]);
        assert_eq!(pending.due_at(), None);
        pending.add(Vec::new(), INTERVAL);
        assert_eq!(pending.due_at(), None, "nothing is pending");
    }
}
