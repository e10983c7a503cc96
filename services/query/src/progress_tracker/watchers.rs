//! Counts of the calls that wait for progress, by partition.

use diptych_kernel::{Partition, Partitions};
use tokio::sync::watch;

/// Counts the calls that wait, by partition. Clones share the counts.
#[derive(Clone, Debug)]
pub(super) struct Watchers {
    counts: watch::Sender<WatcherCounts>,
    partitions: Partitions,
}

#[derive(Debug)]
struct WatcherCounts {
    total: usize,
    /// Indexed by partition number.
    by_partition: Vec<usize>,
}

/// Registration of a waiting call; dropping it removes the call from the counts.
#[must_use]
pub(super) struct WatcherGuard {
    counts: watch::Sender<WatcherCounts>,
    partition: Partition,
}

impl Watchers {
    /// Creates counts of zero.
    pub(super) fn new(partitions: Partitions) -> Self {
        let by_partition = vec![0; usize::from(partitions.count())];
        Self { counts: watch::Sender::new(WatcherCounts { total: 0, by_partition }), partitions }
    }

    /// Counts a call that waits for a partition until the returned guard is dropped.
    pub(super) fn register(&self, partition: Partition) -> WatcherGuard {
        // Only the first call wakes the pollers: for later ones they already poll at the short interval.
        self.counts.send_if_modified(|counts| {
            counts.add(partition);
            counts.total == 1
        });
        WatcherGuard { counts: self.counts.clone(), partition }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.counts.borrow().total == 0
    }

    /// Returns the partitions that at least one call waits for.
    pub(super) fn watched_partitions(&self) -> Vec<Partition> {
        let counts = self.counts.borrow();
        let counted = self.partitions.iter().zip(&counts.by_partition);
        counted.filter(|(_, count)| **count > 0).map(|(partition, _)| partition).collect()
    }

    /// Waits until at least one call is registered; returns at once if one is.
    pub(super) async fn wait_for_any(&self) {
        let mut counts = self.counts.subscribe();
        // Cannot fail: `self` holds a sender.
        let _ = counts.wait_for(|counts| counts.total > 0).await;
    }
}

impl WatcherCounts {
    fn add(&mut self, partition: Partition) {
        self.total += 1;
        if let Some(count) = self.by_partition.get_mut(partition.index()) {
            *count += 1;
        }
    }

    fn remove(&mut self, partition: Partition) {
        self.total -= 1;
        if let Some(count) = self.by_partition.get_mut(partition.index()) {
            *count -= 1;
        }
    }
}

impl Drop for WatcherGuard {
    fn drop(&mut self) {
        self.counts.send_if_modified(|counts| {
            counts.remove(self.partition);
            false
        });
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn watchers() -> Watchers {
        Watchers::new(Partitions::new(4).unwrap())
    }

    fn watched(watchers: &Watchers) -> Vec<u16> {
        watchers.watched_partitions().into_iter().map(Partition::number).collect()
    }

    #[test]
    fn calls_are_counted_until_their_guard_is_dropped() {
        let watchers = watchers();
        let mut any = Box::pin(watchers.wait_for_any());
        assert!(watchers.is_empty() && any.as_mut().now_or_never().is_none());
        let (one, other) = (watchers.register(Partition::new(0)), watchers.register(Partition::new(0)));
        assert!(!watchers.is_empty() && any.now_or_never().is_some());
        drop(one);
        assert!(watchers.wait_for_any().now_or_never().is_some(), "the other call still waits");
        drop(other);
        assert!(watchers.is_empty() && watchers.wait_for_any().now_or_never().is_none());
    }

    #[test]
    fn the_watched_partitions_are_those_that_calls_wait_for() {
        let watchers = watchers();
        let (one, other, same) = (
            watchers.register(Partition::new(3)),
            watchers.register(Partition::new(1)),
            watchers.register(Partition::new(3)),
        );
        assert_eq!(watched(&watchers), [1, 3]);
        drop(one);
        assert_eq!(watched(&watchers), [1, 3], "another call waits for it");
        drop(same);
        assert_eq!(watched(&watchers), [1]);
        drop(other);
        assert_eq!(watched(&watchers), [0_u16; 0]);
    }

    #[test]
    fn an_unknown_partition_counts_in_total_and_is_never_polled() {
        let watchers = watchers();
        let _guard = watchers.register(Partition::new(4));
        assert!(!watchers.is_empty() && watchers.watched_partitions().is_empty());
    }
}
