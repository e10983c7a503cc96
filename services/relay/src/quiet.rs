//! Which partitions have been quiet for so long that a watermark is due.

use std::time::Duration;

use diptych_kernel::Partition;
use tokio::time::Instant;

/// When each partition last got a record.
#[derive(Debug)]
pub(crate) struct Quiet {
    since: Vec<Instant>,
    limit: Duration,
}

impl Quiet {
    /// All partitions are heard of now.
    pub(crate) fn new(partitions: usize, limit: Duration, now: Instant) -> Self {
        Self { since: vec![now; partitions], limit }
    }

    /// A record is being put on a partition.
    pub(crate) fn heard(&mut self, partition: Partition, now: Instant) {
        if let Some(since) = self.since.get_mut(partition.index()) {
            *since = now;
        }
    }

    /// The partitions that are due. One that will be soon counts, so that they are served together and wake nobody one by one.
    pub(crate) fn due(&self, now: Instant) -> Vec<Partition> {
        let soon = now + self.limit / 10;
        let numbered = (0..).map(Partition::new).zip(&self.since);
        numbered.filter(|(_, since)| **since + self.limit <= soon).map(|(partition, _)| partition).collect()
    }

    /// When the next partition is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.since.iter().min().map(|since| *since + self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn partitions_are_due_after_the_limit_and_together() {
        let start = Instant::now();
        let mut quiet = Quiet::new(3, Duration::from_secs(1), start);
        quiet.heard(Partition::new(1), start + Duration::from_millis(50));
        quiet.heard(Partition::new(2), start + Duration::from_millis(500));
        assert_eq!(quiet.due(start + Duration::from_millis(899)), vec![]);
        assert_eq!(quiet.next_due(), Some(start + Duration::from_secs(1)));
        assert_eq!(quiet.due(start + Duration::from_secs(1)), vec![Partition::new(0), Partition::new(1)]);
    }
}
