//! Schedule of the retries of parked streams.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use diptych_kernel::StreamId;
use tokio::time::Instant;

/// The longest interval between two retries of a stream, as a multiple of the first one.
const INTERVAL_GROWTH_MAX: u32 = 32;

/// The retries of one parked stream.
#[derive(Debug)]
struct StreamRetry {
    /// The number of rounds in which the stream was retried.
    attempts: u32,
    due_at: Instant,
    /// Whether the version of the stream is known to include every event up to the partition's mark.
    is_version_current: bool,
}

/// A round of retries in progress.
#[derive(Debug)]
struct RetryRound {
    /// The streams that are still to be retried. The first one may be retried in part.
    queue: VecDeque<StreamId>,
    /// All streams of the round whose versions are not known to have fallen behind since they were retried.
    streams: BTreeSet<StreamId>,
    /// The views in which the first stream of the queue has failed in this round.
    failed_views: BTreeSet<usize>,
    /// Whether events of the first stream of the queue were read in this round.
    has_read: bool,
}

/// The retries of the parked streams of a partition: the time at which each is due, and the round in progress.
///
/// A stream that fails again and again is retried at intervals that double up to a maximum. This is known only in
/// memory, so that the next owner of the partition, such as a new release, retries every stream at once.
#[derive(Debug)]
pub(crate) struct Retries {
    interval: Duration,
    streams: BTreeMap<StreamId, StreamRetry>,
    round: Option<RetryRound>,
    /// The earliest time of further retries: after a failure, and so that a round that causes another one does not
    /// starve all other work.
    not_before: Instant,
}

impl Retries {
    /// Creates the schedule of an assigned partition: all parked streams are due at once.
    pub(crate) fn new(interval: Duration, parked: impl IntoIterator<Item = StreamId>) -> Self {
        let now = Instant::now();
        let due_now = |stream_id| (stream_id, StreamRetry { attempts: 0, due_at: now, is_version_current: false });
        Self { interval, streams: parked.into_iter().map(due_now).collect(), round: None, not_before: now }
    }

    /// Schedules a stream that was parked, an interval from now. The schedule of a stream that has one remains.
    pub(crate) fn add(&mut self, stream_id: &StreamId) {
        let due_at = Instant::now() + self.interval;
        self.streams.entry(stream_id.clone()).or_insert(StreamRetry { attempts: 0, due_at, is_version_current: false });
    }

    /// Retries a parked stream as soon as possible.
    pub(crate) fn bring_forward(&mut self, stream_id: &StreamId) {
        if let Some(stream) = self.streams.get_mut(stream_id) {
            stream.due_at = Instant::now();
        }
    }

    /// An event of the stream has skipped a version.
    pub(crate) fn skip_version(&mut self, stream_id: &StreamId) {
        if let Some(stream) = self.streams.get_mut(stream_id) {
            stream.is_version_current = false;
        }
        if let Some(round) = self.round.as_mut().filter(|round| !round.queue.contains(stream_id)) {
            round.streams.remove(stream_id);
        }
    }

    /// The version of the stream includes every event up to the partition's mark.
    pub(crate) fn version_is_current(&mut self, stream_id: &StreamId) {
        if let Some(stream) = self.streams.get_mut(stream_id) {
            stream.is_version_current = true;
        }
    }

    pub(crate) fn is_version_current(&self, stream_id: &StreamId) -> bool {
        self.streams.get(stream_id).is_some_and(|stream| stream.is_version_current)
    }

    /// Whether a round is due or in progress.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.next_at().is_some_and(|at| at <= now)
    }

    /// The time of the next retry, if there is any.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        if self.round.is_some() {
            return Some(self.not_before);
        }
        self.streams.values().map(|stream| stream.due_at.max(self.not_before)).min()
    }

    /// The streams that are due.
    pub(crate) fn due(&self, now: Instant) -> impl Iterator<Item = &StreamId> {
        self.streams.iter().filter(move |(_, stream)| stream.due_at <= now).map(|(stream_id, _)| stream_id)
    }

    pub(crate) fn is_in_round(&self) -> bool {
        self.round.is_some()
    }

    /// Begins a round with these streams. A due stream that is not among them is not parked at present.
    pub(crate) fn begin_round(&mut self, streams: BTreeSet<StreamId>, now: Instant) {
        for (_, stream) in self.streams.iter_mut().filter(|(id, stream)| stream.due_at <= now && !streams.contains(*id))
        {
            stream.due_at = now + self.interval;
        }
        let queue = streams.iter().cloned().collect();
        self.round = Some(RetryRound { queue, streams, failed_views: BTreeSet::new(), has_read: false });
    }

    /// The stream to retry now; `None` at the end of the round.
    pub(crate) fn current(&self) -> Option<&StreamId> {
        self.round.as_ref()?.queue.front()
    }

    /// Whether the stream to retry now has failed in a view, in this round.
    pub(crate) fn has_failed_in(&self, view: usize) -> bool {
        self.round.as_ref().is_some_and(|round| round.failed_views.contains(&view))
    }

    /// The stream to retry now has failed in a view.
    pub(crate) fn fail_in(&mut self, view: usize) {
        if let Some(round) = &mut self.round {
            round.failed_views.insert(view);
        }
    }

    /// Whether the stream to retry now has failed in earlier rounds, and was not read in this one yet.
    pub(crate) fn is_likely_to_fail(&self) -> bool {
        let Some((round, stream_id)) = self.round.as_ref().zip(self.current()) else { return false };
        !round.has_read && self.streams.get(stream_id).is_some_and(|stream| stream.attempts > 0)
    }

    /// Events of the stream to retry now were read.
    pub(crate) fn record_read(&mut self) {
        if let Some(round) = &mut self.round {
            round.has_read = true;
        }
    }

    /// The stream to retry now was retried, with whatever result.
    pub(crate) fn complete_current(&mut self) {
        let Some(round) = &mut self.round else { return };
        (round.failed_views, round.has_read) = (BTreeSet::new(), false);
        if let Some(stream) = round.queue.pop_front().and_then(|stream_id| self.streams.get_mut(&stream_id)) {
            let growth = 2_u32.saturating_pow(stream.attempts).min(INTERVAL_GROWTH_MAX);
            stream.attempts = stream.attempts.saturating_add(1);
            stream.due_at = Instant::now() + self.interval.saturating_mul(growth);
        }
    }

    /// Whether all of these streams were retried in this round.
    pub(crate) fn has_retried_all<'a>(&self, mut streams: impl Iterator<Item = &'a StreamId>) -> bool {
        self.round.as_ref().is_some_and(|round| streams.all(|stream_id| round.streams.contains(stream_id)))
    }

    pub(crate) fn finish_round(&mut self) {
        self.round = None;
    }

    /// Retries nothing before this time. A round in progress continues then.
    pub(crate) fn postpone(&mut self, until: Instant) {
        self.not_before = until;
    }

    /// Removes the streams that are not parked any more.
    pub(crate) fn retain(&mut self, is_parked: impl Fn(&StreamId) -> bool) {
        self.streams.retain(|stream_id, _| is_parked(stream_id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(30);

    fn stream(name: &str) -> StreamId {
        StreamId::new(name).unwrap()
    }

    fn retry_all(retries: &mut Retries) {
        let now = Instant::now();
        let due = retries.due(now).cloned().collect();
        retries.begin_round(due, now);
        while retries.current().is_some() {
            retries.complete_current();
        }
        retries.finish_round();
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_fails_again_and_again_is_retried_later_and_later_up_to_a_maximum() {
        let mut retries = Retries::new(INTERVAL, [stream("seat-1")]);
        let mut intervals = Vec::new();
        for _ in 0..8 {
            assert!(retries.is_due(Instant::now()));
            retry_all(&mut retries);
            // Parked again, such as by a view that has caught up: that does not bring the retry forward.
            retries.add(&stream("seat-1"));
            let next_at = retries.next_at().unwrap();
            intervals.push((next_at - Instant::now()).as_secs() / INTERVAL.as_secs());
            tokio::time::advance(next_at - Instant::now()).await;
        }
        assert_eq!(intervals, [1, 2, 4, 8, 16, 32, 32, 32]);
    }

    #[tokio::test(start_paused = true)]
    async fn each_stream_has_its_own_schedule() {
        let mut retries = Retries::new(INTERVAL, [stream("seat-1")]);
        retry_all(&mut retries);
        tokio::time::advance(INTERVAL).await;
        retry_all(&mut retries);
        retries.add(&stream("seat-2"));
        tokio::time::advance(INTERVAL).await;
        assert_eq!(retries.due(Instant::now()).collect::<Vec<_>>(), [&stream("seat-2")]);
        retries.bring_forward(&stream("seat-1"));
        assert_eq!(retries.due(Instant::now()).count(), 2);
        retries.retain(|stream_id| *stream_id == stream("seat-2"));
        assert_eq!(retries.due(Instant::now()).count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_postponed_round_continues_where_it_was() {
        let mut retries = Retries::new(INTERVAL, [stream("seat-1"), stream("seat-2")]);
        let now = Instant::now();
        retries.begin_round(retries.due(now).cloned().collect(), now);
        retries.complete_current();
        retries.fail_in(3);
        retries.postpone(now + INTERVAL);
        assert!(!retries.is_due(now) && retries.is_in_round());
        tokio::time::advance(INTERVAL).await;
        assert!(retries.is_due(Instant::now()));
        assert_eq!(retries.current(), Some(&stream("seat-2")));
        assert!(retries.has_failed_in(3));
        retries.complete_current();
        assert_eq!((retries.current(), retries.has_failed_in(3)), (None, false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_whose_version_has_fallen_behind_counts_as_not_retried() {
        let (one, other) = (stream("seat-1"), stream("seat-2"));
        let mut retries = Retries::new(INTERVAL, [one.clone(), other.clone()]);
        let now = Instant::now();
        retries.begin_round(retries.due(now).cloned().collect(), now);
        retries.version_is_current(&one);
        retries.complete_current();
        assert!(retries.is_version_current(&one) && retries.has_retried_all([&one, &other].into_iter()));
        retries.skip_version(&other);
        assert!(retries.has_retried_all([&one, &other].into_iter()), "it is still to be retried");
        retries.skip_version(&one);
        assert!(!retries.is_version_current(&one) && !retries.has_retried_all([&one].into_iter()));
    }
}
