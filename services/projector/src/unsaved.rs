//! Progress that was told and is not saved yet.

use std::{collections::BTreeMap, mem::take, time::Duration};

use diptych_kernel::{Partition, ports::ProgressUpdate};
use tokio::time::Instant;

/// The newest progress of each partition that is to be saved, and when. Its rows are durable, and those who wait have heard of it through the
/// cache; a crash before it is saved repeats a few batches more.
#[derive(Debug, Default)]
pub(crate) struct Unsaved {
    updates: BTreeMap<Partition, Vec<ProgressUpdate>>,
    due_at: Option<Instant>,
}

impl Unsaved {
    /// Takes progress in. The first to come says when all of it is due.
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

    /// When it is to be saved, if there is any.
    pub(crate) fn due_at(&self) -> Option<Instant> {
        self.due_at
    }

    /// All of it, if it is due.
    pub(crate) fn take_due(&mut self) -> Vec<ProgressUpdate> {
        if self.due_at.is_some_and(|at| at <= Instant::now()) { self.take_all() } else { Vec::new() }
    }

    /// All of it.
    pub(crate) fn take_all(&mut self) -> Vec<ProgressUpdate> {
        self.due_at = None;
        take(&mut self.updates).into_values().flatten().collect()
    }

    /// Newer progress of these partitions is saved, or they are another's.
    pub(crate) fn forget(&mut self, partitions: &[Partition]) {
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
    use crate::STREAM_HEADS;

    const INTERVAL: Duration = Duration::from_millis(10);

    fn update(partition: u16, at: i64) -> ProgressUpdate {
        let progress = Progress { position: Position::from_i64(at).unwrap(), ..Progress::default() };
        ProgressUpdate { view: STREAM_HEADS, partition: Partition::new(partition), progress }
    }

    #[tokio::test(start_paused = true)]
    async fn the_newest_of_each_partition_is_due_by_the_oldest() {
        let mut unsaved = Unsaved::default();
        unsaved.add(vec![update(1, 5), update(2, 6)], INTERVAL);
        tokio::time::advance(INTERVAL / 2).await;
        unsaved.add(vec![update(1, 7)], INTERVAL);
        assert_eq!((unsaved.take_due(), unsaved.due_at()), (vec![], Some(Instant::now() + INTERVAL / 2)));
        tokio::time::advance(INTERVAL / 2).await;
        assert_eq!(unsaved.take_due(), [update(1, 7), update(2, 6)]);
        assert_eq!((unsaved.take_all(), unsaved.due_at()), (vec![], None));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_saved_otherwise_is_not_saved_again() {
        let mut unsaved = Unsaved::default();
        unsaved.add(vec![update(1, 5), update(2, 6)], INTERVAL);
        unsaved.forget(&[Partition::new(1)]);
        assert!(unsaved.due_at().is_some());
        assert_eq!(unsaved.take_all(), [update(2, 6)]);
        unsaved.add(vec![update(1, 5)], INTERVAL);
        unsaved.forget(&[Partition::new(1)]);
        assert_eq!(unsaved.due_at(), None);
        unsaved.add(Vec::new(), INTERVAL);
        assert_eq!(unsaved.due_at(), None, "there is nothing to save");
    }
}
