//! State of a partition owned by this member. Changes go through methods, each named after what has happened.

mod mark;
mod retries;
mod view;

use std::{collections::BTreeSet, time::Duration};

use diptych_kernel::{
    Partition, Position, RecordedEvent, StreamId, Timestamp,
    domain::ViewId,
    ports::{LogEntry, Offset, Progress, Watermark},
};
use tokio::time::Instant;

pub(crate) use mark::ProgressMark;
pub(crate) use retries::Retries;
pub(crate) use view::{ParkedAt, ViewState, ViewStatus};

/// Status of a partition: the source of its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PartitionStatus {
    /// None yet: the log is to be read from this offset.
    Starting(Offset),
    /// The write database, because records are missing in the log. Afterwards the log is read from this offset.
    Recovering(Offset),
    /// The log.
    Reading,
    /// None: too many streams are parked.
    Halted,
}

/// A partition that this member owns.
#[derive(Debug)]
pub(crate) struct PartitionState {
    pub(crate) partition: Partition,
    /// The progress of the partition as a whole: every event up to here is accounted for in every live view.
    pub(crate) mark: ProgressMark,
    /// In the order of the domain's views.
    pub(crate) views: Vec<ViewState>,
    status: PartitionStatus,
    /// The offset after the last received record. A record with a larger one shows that offsets were skipped.
    expected_offset: Offset,
    /// The offset after the last applied record, which is committed once the record is stored.
    applied_offset: Offset,
    /// The largest position that was received from the log, or reported as missing.
    received_up_to: Position,
    retries: Retries,
    /// The earliest time of the next read from the write database, after a failure.
    catch_up_not_before: Instant,
    /// Whether a stream was parked and the saved progress does not contain it yet.
    has_unsaved_parking: bool,
    /// The time at which the oldest event that was received and is not stored in the views was recorded.
    oldest_pending_at: Option<Timestamp>,
}

impl PartitionState {
    /// A partition whose log is to be read from `start` on. Its parked streams are retried at once, and then at this
    /// interval or longer ones.
    pub(crate) fn new(
        partition: Partition,
        mark: ProgressMark,
        views: Vec<ViewState>,
        start: Offset,
        retry_interval: Duration,
    ) -> Self {
        let parked = views.iter().flat_map(|view| view.parked.keys().cloned());
        Self {
            retries: Retries::new(retry_interval, parked),
            partition,
            mark,
            views,
            status: PartitionStatus::Starting(start),
            expected_offset: start,
            applied_offset: start,
            received_up_to: mark.position,
            catch_up_not_before: Instant::now(),
            has_unsaved_parking: false,
            oldest_pending_at: None,
        }
    }

    pub(crate) fn status(&self) -> PartitionStatus {
        self.status
    }

    pub(crate) fn expected_offset(&self) -> Offset {
        self.expected_offset
    }

    pub(crate) fn applied_offset(&self) -> Offset {
        self.applied_offset
    }

    pub(crate) fn has_unsaved_parking(&self) -> bool {
        self.has_unsaved_parking
    }

    pub(crate) fn become_starting(&mut self, offset: Offset) {
        self.status = PartitionStatus::Starting(offset);
    }

    /// The log is being read from this offset on.
    pub(crate) fn become_reading(&mut self, offset: Offset) {
        self.status = PartitionStatus::Reading;
        self.expected_offset = offset;
        self.applied_offset = offset;
        self.received_up_to = self.received_up_to.max(self.mark.position);
    }

    /// Records are missing before this offset.
    pub(crate) fn become_recovering(&mut self, offset: Offset) {
        self.status = PartitionStatus::Recovering(offset);
    }

    pub(crate) fn become_halted(&mut self) {
        self.status = PartitionStatus::Halted;
    }

    /// Ends a halt: reads from the write database, and then the log from the last applied record on.
    pub(crate) fn resume_from_halt(&mut self) {
        self.status = PartitionStatus::Recovering(self.applied_offset);
    }

    /// The largest number of streams parked in one view.
    pub(crate) fn parked_count_max(&self) -> usize {
        self.views.iter().map(|view| view.parked.len()).max().unwrap_or_default()
    }

    /// The recording time of the oldest pending work: of an event that was received and is not in the views, or, while
    /// the log is not read, the time up to which the partition is complete, as newer events may exist.
    pub(crate) fn oldest_pending_at(&self) -> Option<Timestamp> {
        let is_standing_still = self.status != PartitionStatus::Reading && self.mark.as_of > Timestamp::default();
        self.oldest_pending_at.or_else(|| is_standing_still.then_some(self.mark.as_of))
    }

    fn is_parked(&self, stream_id: &StreamId) -> bool {
        self.views.iter().any(|view| view.parked.contains_key(stream_id))
    }

    /// Whether views have to be filled from the write database.
    pub(crate) fn has_views_to_catch_up(&self) -> bool {
        self.views.iter().any(ViewState::needs_catching_up)
    }

    /// The views that do not follow the log yet: all of them until the log is read.
    pub(crate) fn views_behind(&self) -> impl Iterator<Item = ViewId> + '_ {
        let is_before_the_log = matches!(self.status, PartitionStatus::Starting(_) | PartitionStatus::Recovering(_));
        self.views.iter().filter(move |view| is_before_the_log || view.is_catching_up()).map(|view| view.id)
    }

    /// Whether the write database may be read now.
    pub(crate) fn may_catch_up(&self, now: Instant) -> bool {
        self.catch_up_not_before <= now
    }

    /// Does not read the write database before this time.
    pub(crate) fn postpone_catch_up(&mut self, until: Instant) {
        self.catch_up_not_before = until;
    }

    /// Whether a round of retries is due or in progress.
    pub(crate) fn has_retries(&self, now: Instant) -> bool {
        self.retries.is_due(now)
    }

    /// The latest time of the next work, if there is any.
    pub(crate) fn next_work_at(&self) -> Option<Instant> {
        let needs_write_side = matches!(self.status, PartitionStatus::Starting(_) | PartitionStatus::Recovering(_))
            || self.has_views_to_catch_up();
        let catch_up = needs_write_side.then_some(self.catch_up_not_before);
        catch_up.into_iter().chain(self.retries.next_at()).min()
    }

    /// Returns whether records are missing before this one, and how that was detected.
    pub(crate) fn missing_before(&mut self, offset: Offset, entry: &LogEntry) -> Option<&'static str> {
        let has_skipped = offset > self.expected_offset;
        match entry {
            // The skipped offsets may all have been watermarks; this one names the last event.
            LogEntry::Watermark(_, watermark) if watermark.last_event > self.received_up_to => {
                // Reported only once, as the write database may not have the event either.
                self.received_up_to = watermark.last_event;
                Some("a watermark names an event that was not received")
            }
            LogEntry::Event(_) if has_skipped => Some("offsets were skipped"),
            _ => None,
        }
    }

    /// An event was received from the log.
    pub(crate) fn receive_event(&mut self, offset: Offset, event: &RecordedEvent) {
        self.expect_after(offset);
        self.received_up_to = self.received_up_to.max(event.position);
        self.oldest_pending_at.get_or_insert(event.recorded_at);
    }

    /// A watermark was received from the log.
    pub(crate) fn receive_watermark(&mut self, offset: Offset, watermark: Watermark) {
        self.expect_after(offset);
        self.received_up_to = self.received_up_to.max(watermark.position);
    }

    fn expect_after(&mut self, offset: Offset) {
        self.expected_offset = self.expected_offset.max(Offset(offset.0.saturating_add(1)));
    }

    /// Everything up to here is accounted for, in the partition and in all live views.
    pub(crate) fn advance(&mut self, position: Position, as_of: Timestamp) {
        self.mark.advance(position, as_of);
        for view in self.views.iter_mut().filter(|view| view.is_live()) {
            view.mark.advance(position, as_of);
        }
    }

    /// The record at this offset is applied.
    pub(crate) fn apply_offset(&mut self, offset: Offset) {
        let next = Offset(offset.0.saturating_add(1));
        self.applied_offset = next;
        self.mark.advance_offset(next);
        for view in self.views.iter_mut().filter(|view| view.is_live()) {
            view.mark.advance_offset(next);
        }
    }

    /// Everything received is in the views, and progress is announced or saved.
    pub(crate) fn record_stored(&mut self) {
        self.oldest_pending_at = None;
        self.has_unsaved_parking = false;
    }

    /// Makes the views that have reached the partition's mark live. The streams parked in them are retried at once.
    pub(crate) fn join_caught_up_views(&mut self) {
        let mark = self.mark;
        for view in self.views.iter_mut().filter(|view| view.is_catching_up()) {
            view.become_live(mark);
            view.parked.keys().for_each(|stream_id| self.retries.bring_forward(stream_id));
        }
    }

    /// Parks a stream in a view.
    pub(crate) fn park(&mut self, view: usize, stream_id: &StreamId, at: ParkedAt) {
        let Some(view_state) = self.views.get_mut(view) else { return };
        let (partition, version, reason) = (self.partition.number(), at.version.number(), at.reason.as_str());
        tracing::warn!(view = %view_state.id, partition, %stream_id, version, reason, "stream parked in a view");
        view_state.park(stream_id.clone(), at);
        self.has_unsaved_parking = true;
        self.retries.add(stream_id);
    }

    /// Retries a parked stream as soon as possible, because its missing events can be read from the write database.
    pub(crate) fn retry_now(&mut self, stream_id: &StreamId) {
        self.retries.bring_forward(stream_id);
    }

    /// An event of the stream has skipped a version.
    pub(crate) fn skip_version(&mut self, stream_id: &StreamId) {
        self.retries.skip_version(stream_id);
    }

    /// Begins a round of retries, unless one is in progress: of the streams that are due, and of all streams that block
    /// the same view as one of them.
    pub(crate) fn begin_retry_round(&mut self, now: Instant) {
        if self.retries.is_in_round() {
            return;
        }
        self.forget_resumed_streams();
        let mut streams: BTreeSet<_> = self.retries.due(now).filter(|id| self.is_parked(id)).cloned().collect();
        for view in self.views.iter().filter(|view| view.is_blocked()) {
            if view.parked.keys().any(|stream_id| streams.contains(stream_id)) {
                streams.extend(view.parked.keys().cloned());
            }
        }
        self.retries.begin_round(streams, now);
    }

    /// Ends a round of retries. The next one begins at `not_before` or later.
    pub(crate) fn finish_retry_round(&mut self, not_before: Instant) {
        self.retries.finish_round();
        self.retries.postpone(not_before);
        self.forget_resumed_streams();
    }

    /// Forgets the schedule of streams that are not parked. While views catch up, all are kept: such a view was
    /// unblocked, and a stream that blocks it again continues its schedule.
    fn forget_resumed_streams(&mut self) {
        if !self.has_views_to_catch_up() {
            let Self { retries, views, .. } = self;
            retries.retain(|stream_id| views.iter().any(|view| view.parked.contains_key(stream_id)));
        }
    }

    /// The stream to retry now; `None` at the end of the round.
    pub(crate) fn stream_to_retry(&self) -> Option<StreamId> {
        self.retries.current().cloned()
    }

    /// The retries of parked streams.
    pub(crate) fn retries(&self) -> &Retries {
        &self.retries
    }

    pub(crate) fn retries_mut(&mut self) -> &mut Retries {
        &mut self.retries
    }

    /// The progress of the partition as a whole, then that of each view.
    pub(crate) fn progress(&self) -> (Progress, impl Iterator<Item = Progress>) {
        let ProgressMark { position, as_of, next_offset } = self.mark;
        let own = Progress { position, as_of, next_offset, parked: Vec::new() };
        (own, self.views.iter().map(ViewState::progress))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(status: PartitionStatus, as_of_micros: i64, oldest_pending_at: Option<Timestamp>) -> PartitionState {
        let mark = ProgressMark { as_of: Timestamp::from_micros(as_of_micros), ..ProgressMark::default() };
        let state = PartitionState::new(Partition::new(0), mark, Vec::new(), Offset(0), Duration::from_secs(30));
        PartitionState { status, oldest_pending_at, ..state }
    }

    #[test]
    fn the_age_of_a_partition_that_stands_still_grows_although_nothing_is_read() {
        let at = Timestamp::from_micros;
        assert_eq!(
            partition(PartitionStatus::Reading, 7, None).oldest_pending_at(),
            None,
            "everything received is stored"
        );
        assert_eq!(partition(PartitionStatus::Reading, 7, Some(at(9))).oldest_pending_at(), Some(at(9)));
        for status in
            [PartitionStatus::Halted, PartitionStatus::Recovering(Offset(3)), PartitionStatus::Starting(Offset(3))]
        {
            assert_eq!(partition(status, 7, None).oldest_pending_at(), Some(at(7)), "{status:?}");
            assert_eq!(partition(status, 0, None).oldest_pending_at(), None, "{status:?}: nothing was ever stored");
        }
    }
}
