//! What a leader knows, and how a piece of the table becomes records.

use diptych_kernel::ports::{EventPage, Fence, LogEntry, RelayCursor, Watermark};
use tokio::time::Instant;

use crate::{
    RelayConfig,
    edge::Edge,
    metrics::{Oldest, OldestUnpublished},
    quiet::Quiet,
    resume::Start,
    trace::BatchSpans,
};

/// A leadership and how far its work is.
#[derive(Debug)]
pub(crate) struct Lead {
    pub(crate) fence: Fence,
    /// The cursor as it is stored.
    pub(crate) stored: RelayCursor,
    /// How far the table was read.
    pub(crate) read: Edge,
    /// How far the log has acknowledged.
    pub(crate) published: Edge,
    /// What was on the log when the lead began.
    pub(crate) on_log: Edge,
    /// A batch that was read while the one before it was being published.
    pub(crate) ahead: Option<Batch>,
    /// What is read of the write database may only be told after a later commit of this leader's was acknowledged: after a restart or a
    /// failover it may be visible without being safe. Moving the cursor is that commit.
    pub(crate) in_doubt: bool,
    quiet: Quiet,
    /// When the cursor is to be moved at the latest, which extends the lease too.
    cursor_due: Instant,
}

/// Records to be put on the log at once.
#[derive(Debug)]
pub(crate) struct Batch {
    /// Events, then watermarks.
    pub(crate) entries: Vec<LogEntry>,
    /// How many of them are events.
    pub(crate) events: usize,
    /// The table is read up to here, and all of it is on the log when this batch is.
    up_to: diptych_kernel::Position,
    /// There was more than the limit, so that reading on at once is right.
    pub(crate) more: bool,
    pub(crate) oldest: OldestUnpublished,
    /// Begun when it is published for the first time.
    spans: Option<BatchSpans>,
}

impl Batch {
    /// The batch is about to be published, for the first time or again.
    pub(crate) fn begin_spans(&mut self) {
        self.spans.get_or_insert_with(|| BatchSpans::begin(&mut self.entries));
    }

    /// Another relay leads, and publishes what this batch holds.
    pub(crate) fn is_fenced(&self) {
        if let Some(spans) = &self.spans {
            spans.fail("fenced");
        }
    }
}

impl Lead {
    pub(crate) fn new(fence: Fence, stored: RelayCursor, start: Start, config: &RelayConfig) -> Self {
        let now = Instant::now();
        let quiet = Quiet::new(stored.last_positions.len(), config.idle_before_watermark, now);
        let edge = Edge { up_to: start.read_up_to, last_positions: start.on_log.last_positions.clone() };
        Self {
            fence,
            stored,
            read: edge.clone(),
            published: edge,
            on_log: start.on_log,
            ahead: None,
            in_doubt: true,
            quiet,
            cursor_due: now + config.extend_interval(),
        }
    }

    /// Turns what was read into records, without what the log has already, and with the watermarks that are due.
    ///
    /// A watermark says that nothing is missing before it, as of the time of reading. So it is made only of a tail that was read to its
    /// end, and stands after that tail's events.
    pub(crate) fn take(&mut self, tail: EventPage, limit: usize) -> Batch {
        let now = Instant::now();
        let more = tail.events.len() >= limit;
        let mut entries = Vec::with_capacity(tail.events.len());
        let mut oldest = OldestUnpublished::none(self.stored.last_positions.len());
        for event in tail.events {
            if event.position <= self.on_log.last_of(event.partition) {
                continue;
            }
            oldest.add(event.partition, Oldest { recorded_at: event.recorded_at, read_at: tail.read_at, read: now });
            self.read.pass(event.partition, event.position);
            self.quiet.heard(event.partition, now);
            entries.push(LogEntry::Event(event));
        }
        self.read.up_to = tail.complete_up_to.max(self.read.up_to);
        let events = entries.len();
        if !more {
            for partition in self.quiet.due(now) {
                let last_event = self.read.last_of(partition);
                let watermark = Watermark { position: self.read.up_to, as_of: tail.read_at, last_event };
                self.quiet.heard(partition, now);
                entries.push(LogEntry::Watermark(partition, watermark));
            }
        }
        Batch { entries, events, up_to: self.read.up_to, more, oldest, spans: None }
    }

    /// The log has acknowledged a batch.
    pub(crate) fn acknowledged(&mut self, batch: &Batch, config: &RelayConfig) {
        self.published.pass_all(&batch.entries, batch.up_to);
        if batch.events > 0 {
            self.cursor_due = self.cursor_due.min(Instant::now() + config.cursor_interval);
        }
    }

    /// The cursor as it should be stored.
    pub(crate) fn cursor(&self) -> RelayCursor {
        self.published.cursor_after(&self.stored)
    }

    /// The cursor was stored.
    pub(crate) fn moved(&mut self, cursor: RelayCursor, config: &RelayConfig) {
        self.stored = cursor;
        self.in_doubt = false;
        self.cursor_due = Instant::now() + config.extend_interval();
    }

    pub(crate) fn cursor_is_due(&self) -> bool {
        self.cursor_due <= Instant::now()
    }

    /// When there is something to do though no event comes.
    pub(crate) fn wake_at(&self) -> Instant {
        self.quiet.next_due().map_or(self.cursor_due, |due| due.min(self.cursor_due))
    }
}
