//! State of a leader: its fence, its cursor, and how far it has read and published.

use diptych_kernel::ports::{EventPage, Fence, LogEntry, RelayCursor, Watermark};
use tokio::time::Instant;

use crate::{
    batch::RelayBatch,
    config::RelayConfig,
    high_watermark::HighWatermark,
    idle_partitions::IdlePartitions,
    metrics::{EventAge, OldestUnpublished},
    resume::ResumePoint,
};

/// State of a relay from the moment it acquires the lease until it is fenced or steps down.
#[derive(Debug)]
pub(crate) struct Leadership {
    pub(crate) fence: Fence,
    /// The cursor as it is stored.
    pub(crate) stored: RelayCursor,
    /// The position up to which events were read from the write database.
    pub(crate) read: HighWatermark,
    /// The position up to which the log has acknowledged records.
    pub(crate) published: HighWatermark,
    /// The events that the log held when the leadership began.
    on_log: HighWatermark,
    /// A batch that was read while the one before it was being published.
    pub(crate) prefetched: Option<RelayBatch>,
    /// True if the events read last may be published only after a later commit of this leader has been acknowledged:
    /// after a restart or a failover of the write database, events may be visible without being durable. Moving the
    /// cursor is that commit.
    pub(crate) reads_unconfirmed: bool,
    /// The oldest committed event that the write database holds back, as of the last read.
    pub(crate) held_back: OldestUnpublished,
    idle_partitions: IdlePartitions,
    /// Latest time at which the cursor must be moved, which also extends the lease.
    cursor_due_at: Instant,
}

impl Leadership {
    pub(crate) fn new(fence: Fence, stored: RelayCursor, start: ResumePoint, config: &RelayConfig) -> Self {
        let now = Instant::now();
        let (interval_min, interval_max) = (config.idle_before_watermark, config.watermark_interval_max);
        let idle_partitions = IdlePartitions::new(stored.last_positions.len(), interval_min, interval_max, now);
        let read = HighWatermark { up_to: start.read_up_to, last_positions: start.on_log.last_positions.clone() };
        Self {
            fence,
            held_back: OldestUnpublished::none(stored.last_positions.len()),
            stored,
            published: read.clone(),
            read,
            on_log: start.on_log,
            prefetched: None,
            reads_unconfirmed: true,
            idle_partitions,
            cursor_due_at: now + config.extend_interval(),
        }
    }

    /// Turns a page of events into a batch, without the events that the log already has, and with the watermarks that
    /// are due. `limit` is the number of events that the read asked for.
    ///
    /// A watermark states that no event before it is missing, as of the time of the read. So it is made only if the
    /// read reached the end of the table, and follows the events of that read.
    pub(crate) fn make_batch(&mut self, page: EventPage, limit: usize) -> RelayBatch {
        let now = Instant::now();
        let has_more = page.events.len() >= limit;
        let mut entries = Vec::with_capacity(page.events.len());
        let mut oldest = OldestUnpublished::none(self.stored.last_positions.len());
        for event in page.events {
            if event.position <= self.on_log.last_position(event.partition) {
                continue;
            }
            let age = EventAge { recorded_at: event.recorded_at, read_at: page.read_at, read_at_local: now };
            oldest.add(event.partition, age);
            self.read.advance_partition(event.partition, event.position);
            self.idle_partitions.event_published(event.partition, now);
            entries.push(LogEntry::Event(event));
        }
        self.held_back = OldestUnpublished::none(self.stored.last_positions.len());
        if let Some(event) = page.held_back {
            let age = EventAge { recorded_at: event.recorded_at, read_at: event.seen_at, read_at_local: now };
            self.held_back.add(event.partition, age);
            oldest.add(event.partition, age);
        }
        self.read.up_to = page.complete_up_to.max(self.read.up_to);
        let event_count = entries.len();
        if !has_more {
            for partition in self.idle_partitions.due(now) {
                let last_event = self.read.last_position(partition);
                let watermark = Watermark { position: self.read.up_to, as_of: page.read_at, last_event };
                self.idle_partitions.watermark_published(partition, now);
                entries.push(LogEntry::Watermark(partition, watermark));
            }
        }
        RelayBatch::new(entries, event_count, self.read.up_to, has_more, oldest)
    }

    /// Advances the published position after the log has acknowledged a batch.
    pub(crate) fn batch_acknowledged(&mut self, batch: &RelayBatch, config: &RelayConfig) {
        self.published.advance(&batch.entries, batch.up_to);
        if batch.event_count > 0 {
            self.cursor_due_at = self.cursor_due_at.min(Instant::now() + config.cursor_interval);
        }
    }

    /// Returns the cursor to store.
    pub(crate) fn cursor(&self) -> RelayCursor {
        self.published.cursor_after(&self.stored)
    }

    /// Records that the cursor was stored and the lease extended.
    pub(crate) fn cursor_stored(&mut self, cursor: RelayCursor, config: &RelayConfig) {
        self.stored = cursor;
        self.reads_unconfirmed = false;
        self.cursor_due_at = Instant::now() + config.extend_interval();
    }

    pub(crate) fn cursor_is_due(&self) -> bool {
        self.cursor_due_at <= Instant::now()
    }

    /// Returns when an idle relay must act although no event arrives.
    pub(crate) fn wake_at(&self) -> Instant {
        self.idle_partitions.next_due_at().map_or(self.cursor_due_at, |due_at| due_at.min(self.cursor_due_at))
    }
}

#[cfg(test)]
mod tests {
    use diptych_kernel::{
        Partition, Partitions, Position, Timestamp,
        ports::{HeldBackEvent, RelayCursor},
    };

    use super::*;
    use crate::metrics::RelayMetrics;

    /// Otherwise the lag would be 0 while a transaction in the write database holds everything back.
    #[tokio::test(start_paused = true)]
    async fn the_age_of_unpublished_events_counts_those_that_cannot_be_read_yet() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let _guard = metrics::set_default_local_recorder(&recorder);
        let partitions = Partitions::new(2).unwrap();
        let metrics = RelayMetrics::new(partitions);
        let nothing = HighWatermark { up_to: Position::START, last_positions: vec![Position::START; 2] };
        let start = ResumePoint { read_up_to: Position::START, on_log: nothing, lost: Vec::new() };
        let config = RelayConfig::new("relay-0");
        let mut leadership = Leadership::new(Fence(1), RelayCursor::start(partitions), start, &config);
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let held_back = HeldBackEvent { partition: Partition::new(1), recorded_at: at(100), seen_at: at(107) };
        let page =
            |held_back| EventPage { events: Vec::new(), complete_up_to: Position::START, read_at: at(100), held_back };
        let age = |partition: usize| -> f64 {
            let name = format!("diptych_relay_oldest_unpublished_age_seconds{{partition=\"{partition}\"}} ");
            let text = recorder.handle().render();
            text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
        };
        let batch = leadership.make_batch(page(Some(held_back)), 10);
        metrics.report_ages(&leadership.held_back);
        assert_eq!((age(0), age(1)), (0.0, 7.0));
        metrics.report_ages(&batch.oldest);
        assert_eq!((age(0), age(1)), (0.0, 7.0), "while a batch is published too");
        leadership.make_batch(page(None), 10);
        metrics.report_ages(&leadership.held_back);
        assert_eq!(age(1), 0.0);
    }
}
