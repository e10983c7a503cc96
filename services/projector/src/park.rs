//! Retries of parked streams, and of the views that they block.

use diptych_kernel::{
    Partition, RecordedEvent, StreamId, Version,
    domain::{Domain, Scope},
    ports::{EventStore, PortError, PortResult, ProgressStore, ViewCache, ViewStore},
};
use tokio::time::Instant;

use crate::{
    engine::Engine,
    error::Stop,
    partition::{ParkedAt, PartitionStatus},
    rows::WorkingSet,
};

/// The maximum number of reads of streams in one task, so that the log is polled in between.
const READS_PER_TASK: usize = 16;
/// The reason for parking a stream whose events the write database does not have.
const UNAVAILABLE_REASON: &str = "the write database does not have the next version of the stream";

/// The progress of one view in resuming a stream.
struct ResumingView {
    view: usize,
    /// The first event of the stream that the view does not have.
    at: ParkedAt,
    has_failed: bool,
}

/// A page of a stream's events up to the partition's mark, without gaps.
struct StreamPage {
    events: Vec<RecordedEvent>,
    end: PageEnd,
}

/// What follows a page.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PageEnd {
    MoreEvents,
    Nothing,
    /// The write database does not have the next version, although it has a later one.
    Gap,
}

/// The result of reading one page of a parked stream.
struct PageResult {
    events: usize,
    /// Whether the retry of the stream is complete: every view has all of its events or has failed, and the stream's
    /// version is current.
    is_complete: bool,
}

impl<D, S, V, P, C> Engine<D, S, V, P, C>
where
    D: Domain,
    S: EventStore,
    V: ViewStore,
    P: ProgressStore,
    C: ViewCache,
{
    /// Runs one task of a round of retries: streams first, then the blocked views. A task ends once it has read a
    /// page of events; the next one continues with the same stream from there.
    pub(crate) async fn retry_parked(&mut self, partition: Partition) -> Result<(), Stop> {
        let Some(state) = self.owned.get_mut(&partition) else { return Ok(()) };
        state.begin_retry_round(Instant::now());
        let mut events = 0;
        for _ in 0..READS_PER_TASK {
            let Some(state) = self.owned.get_mut(&partition) else { return Ok(()) };
            let Some(stream_id) = state.stream_to_retry() else { return self.finish_retry_round(partition).await };
            let page = match self.resume_page(partition, &stream_id).await? {
                Ok(page) => page,
                Err(error) => return self.pause_retry_round(partition, error),
            };
            if page.is_complete
                && let Some(state) = self.owned.get_mut(&partition)
            {
                state.retries_mut().complete_current();
            }
            events += page.events;
            if events >= self.config.catch_up_events_max {
                break;
            }
        }
        Ok(())
    }

    /// Pauses the round after a failure of the write database.
    fn pause_retry_round(&mut self, partition: Partition, error: PortError) -> Result<(), Stop> {
        let until = self.postpone(partition, error)?;
        if let Some(state) = self.owned.get_mut(&partition) {
            state.retries_mut().postpone(until);
        }
        Ok(())
    }

    async fn finish_retry_round(&mut self, partition: Partition) -> Result<(), Stop> {
        if let Err(error) = self.unblock_views(partition).await {
            return self.pause_retry_round(partition, error);
        }
        let parked_max = self.config.parked_streams_max;
        if let Some(state) = self.owned.get_mut(&partition) {
            state.finish_retry_round(Instant::now() + self.config.retry_delay_max);
            if state.status() == PartitionStatus::Halted && state.parked_count_max() <= parked_max {
                tracing::info!(partition = partition.number(), "halted partition resumed");
                state.resume_from_halt();
            }
        }
        Ok(())
    }

    /// Folds the next page of a parked stream's events, up to the partition's mark, into the views over single streams
    /// in which it is parked, and advances the stream's version. Stores how far each view is. Returns a failure of the
    /// write database as the inner error.
    ///
    /// A view that has failed is not tried again in this round. When all have failed, the remaining events are read
    /// only as far as the stream's version does not include them: a view that is unblocked or caught up must not take
    /// the stream's next event for one that skips versions.
    async fn resume_page(
        &mut self,
        partition: Partition,
        stream_id: &StreamId,
    ) -> Result<PortResult<PageResult>, Stop> {
        let mut resuming = self.resuming_views(partition, stream_id);
        let is_resuming = !resuming.is_empty();
        let first = match resuming.iter().map(|view| view.at.version).min() {
            Some(version) => version,
            None if self.is_version_current(partition, stream_id) => {
                return Ok(Ok(PageResult { events: 0, is_complete: true }));
            }
            None => self.stream_version(partition, stream_id).await?.next(),
        };
        let StreamPage { events, end } = match self.read_stream_page(partition, stream_id, first).await {
            Ok(page) => page,
            Err(error) => return Ok(Err(error)),
        };
        let (count, next) = (events.len(), events.last().map_or(first, |event| event.version.next()));
        if count > 0 {
            let Some(rows) = self.fold_stream_events(partition, &mut resuming, events).await? else {
                return Ok(Ok(PageResult { events: count, is_complete: false }));
            };
            self.update_resuming(partition, stream_id, resuming, next, end);
            self.store_behind(rows, partition).await?;
        } else {
            // A view that has all events is unparked with the last of them, so these views wait for a missing one.
            let end = if is_resuming { PageEnd::Gap } else { end };
            self.update_resuming(partition, stream_id, resuming, next, end);
        }
        if end != PageEnd::MoreEvents {
            self.save_progress(&[partition]).await?;
        }
        let is_resuming_more = !self.resuming_views(partition, stream_id).is_empty();
        let is_at_end = if count > 0 { end == PageEnd::Nothing } else { !is_resuming };
        Ok(Ok(PageResult { events: count, is_complete: is_at_end && !is_resuming_more }))
    }

    fn is_version_current(&self, partition: Partition, stream_id: &StreamId) -> bool {
        self.owned.get(&partition).is_some_and(|state| state.retries().is_version_current(stream_id))
    }

    /// Reads the next page of a stream from this version on, up to the partition's mark. The page has one event if the
    /// stream has failed before, as it probably fails again.
    async fn read_stream_page(
        &mut self,
        partition: Partition,
        stream_id: &StreamId,
        first: Version,
    ) -> PortResult<StreamPage> {
        let state = self.owned.get_mut(&partition);
        let up_to = state.as_ref().map(|state| state.mark.position).unwrap_or_default();
        let is_likely_to_fail = state.as_ref().is_some_and(|state| state.retries().is_likely_to_fail());
        let limit = if is_likely_to_fail { 1 } else { self.config.catch_up_events_max.max(1) };
        let before = Version::new(first.number().saturating_sub(1));
        // One more than the page has, to know whether it is the last one.
        let read = self.events.read_stream_after(stream_id, before, limit.saturating_add(1));
        let mut events = self.heartbeat.beat_after(read).await?;
        self.write_database_answered();
        if let Some(state) = self.owned.get_mut(&partition) {
            state.retries_mut().record_read();
        }
        events.retain(|event| event.position <= up_to);
        let dense = events.iter().zip(first.number()..).take_while(|(event, number)| event.version.number() == *number);
        let dense = dense.count();
        let end = if dense < events.len().min(limit) {
            PageEnd::Gap
        } else if events.len() > limit {
            PageEnd::MoreEvents
        } else {
            PageEnd::Nothing
        };
        events.truncate(dense.min(limit));
        Ok(StreamPage { events, end })
    }

    /// The views into which the stream's events are folded one by one, and which have not failed in this round.
    fn resuming_views(&self, partition: Partition, stream_id: &StreamId) -> Vec<ResumingView> {
        let Some(state) = self.owned.get(&partition) else { return Vec::new() };
        // A view that is catching up has not reached the earlier events of the stream yet; it is retried once it is
        // live.
        let of_streams =
            state.views.iter().enumerate().filter(|(_, view)| view.scope == Scope::Stream && view.is_live());
        let remaining = of_streams.filter(|(index, _)| !state.retries().has_failed_in(*index));
        let parked = remaining.filter_map(|(index, view)| Some((index, view.parked.get(stream_id)?.clone())));
        parked.map(|(view, at)| ResumingView { view, at, has_failed: false }).collect()
    }

    /// Folds events of a stream into the views in which it is parked. Returns the changed rows, or `None` if the stream
    /// had to be parked in more views first.
    ///
    /// The events may include more than was known to be missing: events that other views have passed without knowing.
    /// Then the stream is parked in these views, and that is stored before the stream's version advances. This ends, as
    /// each repetition parks the stream in at least one more view.
    async fn fold_stream_events(
        &mut self,
        partition: Partition,
        resuming: &mut [ResumingView],
        events: Vec<RecordedEvent>,
    ) -> Result<Option<WorkingSet>, Stop> {
        let selected: Vec<usize> = resuming.iter().map(|view| view.view).collect();
        let mut batch = self.prepare_batch(events, |_, view| selected.contains(&view)).await?;
        let stream_version = batch.stream_version(0);
        let new = batch.events.iter().map(|event| &event.record).find(|record| record.version > stream_version);
        if let Some((state, new)) = self.owned.get_mut(&partition).zip(new)
            && state.park_where_passed(&new.stream_id, stream_version, new.position)
        {
            batch.rows.keep(&mut self.hot_rows, &self.tables);
            self.save_progress(&[partition]).await?;
            return Ok(None);
        }
        for index in 0..batch.events.len() {
            let Some(version) = batch.events.get(index).map(|event| event.record.version) else { continue };
            for resuming in resuming.iter_mut().filter(|view| !view.has_failed && view.at.version <= version) {
                let Some(view) = self.views.get(resuming.view) else { continue };
                match batch.fold(index, resuming.view, view.as_ref()) {
                    Ok(()) => resuming.at.version = version.next(),
                    Err(reason) => {
                        resuming.at = ParkedAt { version, reason };
                        resuming.has_failed = true;
                    }
                }
            }
            if batch.stream_version(index) < version {
                batch.advance_stream_version(index);
            }
        }
        Ok(Some(batch.rows))
    }

    /// Records how far each view is after a page that ends before version `next`: unparks the stream in the views that
    /// have all of its events, and keeps the place and the reason in the others. To be stored after the rows.
    fn update_resuming(
        &mut self,
        partition: Partition,
        stream_id: &StreamId,
        resuming: Vec<ResumingView>,
        next: Version,
        end: PageEnd,
    ) {
        let Some(state) = self.owned.get_mut(&partition) else { return };
        for ResumingView { view, mut at, mut has_failed } in resuming {
            if !has_failed && at.version == next && end == PageEnd::Gap {
                UNAVAILABLE_REASON.clone_into(&mut at.reason);
                has_failed = true;
            }
            if has_failed {
                state.retries_mut().fail_in(view);
            }
            let Some(view_state) = state.views.get_mut(view) else { continue };
            let has_all = !has_failed && end == PageEnd::Nothing && at.version <= next;
            if has_all {
                let (view, partition) = (view_state.id, partition.number());
                tracing::info!(%view, partition, %stream_id, "parked stream resumed");
                view_state.parked.remove(stream_id);
            } else {
                view_state.parked.insert(stream_id.clone(), at);
            }
        }
        if end == PageEnd::Nothing {
            state.retries_mut().version_is_current(stream_id);
        }
    }

    /// Unblocks the views whose missing events can be read now: to catch up from their mark, or, where they have passed
    /// a missing event, to be rebuilt from the first event on.
    async fn unblock_views(&mut self, partition: Partition) -> PortResult<()> {
        for index in 0..self.views.len() {
            let Some(view_state) = self.owned.get(&partition).and_then(|state| state.views.get(index)) else {
                continue;
            };
            // The view must know the current version of each stream that it has missed.
            let are_retried = self
                .owned
                .get(&partition)
                .is_some_and(|state| state.retries().has_retried_all(view_state.parked.keys()));
            if !view_state.is_blocked() || !are_retried {
                continue;
            }
            let mark = view_state.mark.position;
            let parked: Vec<_> =
                view_state.parked.iter().map(|(stream_id, at)| (stream_id.clone(), at.version)).collect();
            let mut first_missing = Vec::with_capacity(parked.len());
            for (stream_id, version) in &parked {
                let before = Version::new(version.number().saturating_sub(1));
                let read = self.events.read_stream_after(stream_id, before, 1);
                let events = self.heartbeat.beat_after(read).await?;
                self.write_database_answered();
                first_missing
                    .extend(events.first().filter(|event| event.version == *version).map(|event| event.position));
            }
            if first_missing.len() < parked.len() {
                continue;
            }
            let Some(view_state) = self.owned.get_mut(&partition).and_then(|state| state.views.get_mut(index)) else {
                continue;
            };
            if first_missing.iter().any(|position| *position <= mark) {
                view_state.become_rebuilding();
            } else {
                view_state.become_catching_up();
            }
        }
        Ok(())
    }
}
