//! Which partitions calls wait for.

use diptych_kernel::{Partition, Partitions};
use tokio::sync::watch;

/// Counts the calls that wait, by partition. Every clone is the same count.
#[derive(Clone, Debug)]
pub(super) struct Waiters {
    counts: watch::Sender<Counts>,
    partitions: Partitions,
}

#[derive(Debug)]
struct Counts {
    all: usize,
    /// By number.
    of_partitions: Vec<usize>,
}

/// A call that waits, until it is dropped.
#[must_use]
pub(super) struct Waiting {
    counts: watch::Sender<Counts>,
    partition: Partition,
}

impl Waiters {
    /// Nobody waits yet.
    pub(super) fn new(partitions: Partitions) -> Self {
        let of_partitions = vec![0; usize::from(partitions.count())];
        Self { counts: watch::Sender::new(Counts { all: 0, of_partitions }), partitions }
    }

    /// Counts one more that waits for a partition, for as long as what is returned lives.
    pub(super) fn enter(&self, partition: Partition) -> Waiting {
        // Only the first is news: for those after it progress is looked for often already.
        self.counts.send_if_modified(|counts| {
            counts.add(partition);
            counts.all == 1
        });
        Waiting { counts: self.counts.clone(), partition }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.counts.borrow().all == 0
    }

    /// The partitions that somebody waits for.
    pub(super) fn awaited(&self) -> Vec<Partition> {
        let counts = self.counts.borrow();
        let counted = self.partitions.iter().zip(&counts.of_partitions);
        counted.filter(|(_, count)| **count > 0).map(|(partition, _)| partition).collect()
    }

    /// Returns when somebody waits, at once if somebody does.
    pub(super) async fn somebody(&self) {
        let mut counts = self.counts.subscribe();
        // The sender is ours, so it is not gone.
        let _ = counts.wait_for(|counts| counts.all > 0).await;
    }
}

impl Counts {
    fn add(&mut self, partition: Partition) {
        self.all += 1;
        if let Some(count) = self.of_partitions.get_mut(partition.index()) {
            *count += 1;
        }
    }

    fn remove(&mut self, partition: Partition) {
        self.all -= 1;
        if let Some(count) = self.of_partitions.get_mut(partition.index()) {
            *count -= 1;
        }
    }
}

impl Drop for Waiting {
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

    fn waiters() -> Waiters {
        Waiters::new(Partitions::new(4).unwrap())
    }

    fn awaited(waiters: &Waiters) -> Vec<u16> {
        waiters.awaited().into_iter().map(Partition::number).collect()
    }

    #[test]
    fn those_who_wait_are_counted_until_they_are_gone() {
        let waiters = waiters();
        let mut somebody = Box::pin(waiters.somebody());
        assert!(waiters.is_empty() && somebody.as_mut().now_or_never().is_none());
        let (one, other) = (waiters.enter(Partition::new(0)), waiters.enter(Partition::new(0)));
        assert!(!waiters.is_empty() && somebody.now_or_never().is_some());
        drop(one);
        assert!(waiters.somebody().now_or_never().is_some(), "the other still waits");
        drop(other);
        assert!(waiters.is_empty() && waiters.somebody().now_or_never().is_none());
    }

    #[test]
    fn it_is_known_what_they_wait_for() {
        let waiters = waiters();
        let (one, other, same) =
            (waiters.enter(Partition::new(3)), waiters.enter(Partition::new(1)), waiters.enter(Partition::new(3)));
        assert_eq!(awaited(&waiters), [1, 3]);
        drop(one);
        assert_eq!(awaited(&waiters), [1, 3], "another one waits for it");
        drop(same);
        assert_eq!(awaited(&waiters), [1]);
        drop(other);
        assert_eq!(awaited(&waiters), [0_u16; 0]);
    }

    #[test]
    fn a_partition_that_does_not_exist_is_waited_for_and_never_looked_at() {
        let waiters = waiters();
        let _waiting = waiters.enter(Partition::new(4));
        assert!(!waiters.is_empty() && waiters.awaited().is_empty());
    }
}
