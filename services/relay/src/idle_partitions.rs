//! Partitions that have had no record for so long that a watermark is due.

use std::time::Duration;

use diptych_kernel::Partition;
use tokio::time::Instant;

/// Time of the last record of each partition.
#[derive(Debug)]
pub(crate) struct IdlePartitions {
    /// In the order of the partitions.
    last_record_at: Vec<Instant>,
    idle_max: Duration,
}

impl IdlePartitions {
    /// Starts with a record on every partition at `now`.
    pub(crate) fn new(partitions: usize, idle_max: Duration, now: Instant) -> Self {
        Self { last_record_at: vec![now; partitions], idle_max }
    }

    /// Notes that a record is published to a partition.
    pub(crate) fn record_published(&mut self, partition: Partition, now: Instant) {
        if let Some(last_record_at) = self.last_record_at.get_mut(partition.index()) {
            *last_record_at = now;
        }
    }

    /// Returns the partitions that need a watermark. Includes those due within a tenth of the limit, so that one
    /// wake-up serves several partitions.
    pub(crate) fn due(&self, now: Instant) -> Vec<Partition> {
        let soon = now + self.idle_max / 10;
        let numbered = (0..).map(Partition::new).zip(&self.last_record_at);
        numbered.filter(|(_, last)| **last + self.idle_max <= soon).map(|(partition, _)| partition).collect()
    }

    /// Returns when the next partition is due.
    pub(crate) fn next_due_at(&self) -> Option<Instant> {
        self.last_record_at.iter().min().map(|last| *last + self.idle_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn partitions_are_due_after_the_limit_and_together() {
        let start = Instant::now();
        let mut idle = IdlePartitions::new(3, Duration::from_secs(1), start);
        idle.record_published(Partition::new(1), start + Duration::from_millis(50));
        idle.record_published(Partition::new(2), start + Duration::from_millis(500));
        assert_eq!(idle.due(start + Duration::from_millis(899)), vec![]);
        assert_eq!(idle.next_due_at(), Some(start + Duration::from_secs(1)));
        assert_eq!(idle.due(start + Duration::from_secs(1)), vec![Partition::new(0), Partition::new(1)]);
    }
}
