//! Partitions that have had no record for so long that a watermark is due.

use std::time::Duration;

use diptych_kernel::Partition;
use tokio::time::Instant;

/// Time of the last record of each partition, and of its next watermark.
///
/// The first watermark comes after the shortest interval without an event, each further one after twice the interval
/// before, up to the longest: a watermark only says how complete a partition is, and nothing happens there.
#[derive(Debug)]
pub(crate) struct IdlePartitions {
    /// In the order of the partitions.
    partitions: Vec<IdlePartition>,
    interval_min: Duration,
    interval_max: Duration,
}

#[derive(Clone, Debug)]
struct IdlePartition {
    last_record_at: Instant,
    /// Time from the last record to the next watermark.
    interval: Duration,
}

impl IdlePartition {
    fn due_at(&self) -> Instant {
        self.last_record_at + self.interval
    }
}

impl IdlePartitions {
    /// Starts with an event on every partition at `now`. An `interval_max` below `interval_min` counts as that.
    pub(crate) fn new(partitions: usize, interval_min: Duration, interval_max: Duration, now: Instant) -> Self {
        let partition = IdlePartition { last_record_at: now, interval: interval_min };
        Self { partitions: vec![partition; partitions], interval_min, interval_max: interval_max.max(interval_min) }
    }

    /// Notes that an event is published to a partition.
    pub(crate) fn event_published(&mut self, partition: Partition, now: Instant) {
        if let Some(idle) = self.partitions.get_mut(partition.index()) {
            *idle = IdlePartition { last_record_at: now, interval: self.interval_min };
        }
    }

    /// Notes that a watermark is published to a partition.
    pub(crate) fn watermark_published(&mut self, partition: Partition, now: Instant) {
        if let Some(idle) = self.partitions.get_mut(partition.index()) {
            let interval = idle.interval.saturating_mul(2).min(self.interval_max);
            *idle = IdlePartition { last_record_at: now, interval };
        }
    }

    /// Returns the partitions that need a watermark. Includes those due within a tenth of their interval, so that one
    /// wake-up serves several partitions.
    pub(crate) fn due(&self, now: Instant) -> Vec<Partition> {
        let numbered = (0..).map(Partition::new).zip(&self.partitions);
        let due = numbered.filter(|(_, idle)| idle.due_at() <= now + idle.interval / 10);
        due.map(|(partition, _)| partition).collect()
    }

    /// Returns when the next partition is due.
    pub(crate) fn next_due_at(&self) -> Option<Instant> {
        self.partitions.iter().map(IdlePartition::due_at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three_partitions(start: Instant) -> IdlePartitions {
        IdlePartitions::new(3, Duration::from_secs(1), Duration::from_secs(5), start)
    }

    #[tokio::test(start_paused = true)]
    async fn partitions_are_due_after_the_shortest_interval_and_together() {
        let start = Instant::now();
        let mut idle = three_partitions(start);
        idle.event_published(Partition::new(1), start + Duration::from_millis(50));
        idle.event_published(Partition::new(2), start + Duration::from_millis(500));
        assert_eq!(idle.due(start + Duration::from_millis(899)), vec![]);
        assert_eq!(idle.next_due_at(), Some(start + Duration::from_secs(1)));
        assert_eq!(idle.due(start + Duration::from_secs(1)), vec![Partition::new(0), Partition::new(1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn each_watermark_doubles_the_interval_up_to_the_longest_until_an_event() {
        let mut now = Instant::now();
        let mut idle = IdlePartitions::new(1, Duration::from_secs(1), Duration::from_secs(5), now);
        let mut intervals = Vec::new();
        for _ in 0..5 {
            let due_at = idle.next_due_at().unwrap();
            intervals.push((due_at - now).as_secs());
            now = due_at;
            idle.watermark_published(Partition::new(0), now);
        }
        assert_eq!(intervals, [1, 2, 4, 5, 5]);
        idle.event_published(Partition::new(0), now);
        assert_eq!(idle.next_due_at(), Some(now + Duration::from_secs(1)));
    }
}
