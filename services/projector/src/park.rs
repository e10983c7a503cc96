//! Retries of parked streams, and of the views that they block.

use diptych_kernel::{
    Partition, Position, RecordedEvent, StreamId, Version,
    domain::{Domain, Scope},
    ports::{EventStore, PortError, PortResult, ProgressStore, ViewCache, ViewStore},
};
use tokio::time::Instant;

use crate::{
    engine::Engine,
    error::Stop,
    partition::{ParkedAt, PartitionStatus},
};

/// The number of streams retried in one task, so that the log is polled in between.
const STREAMS_PER_TASK: usize = 16;

/// The progress of one view in resuming a stream.
struct ResumingView {
    view: usize,
    /// The first event of the stream that the view does not have.
    at: ParkedAt,
    has_failed: bool,
}

impl<D, S, V, P, C> Engine<D, S, V, P, C>
where
    D: Domain,
    S: EventStore,
    V: ViewStore,
    P: ProgressStore,
    C: ViewCache,
{
    /// Runs one task of a round of retries: streams first, then the blocked views.
    pub(crate) async fn retry_parked(&mut self, partition: Partition) -> Result<(), Stop> {
        let Some(state) = self.owned.get_mut(&partition) else { return Ok(()) };
        state.begin_retry_round();
        for _ in 0..STREAMS_PER_TASK {
            let Some(state) = self.owned.get_mut(&partition) else { return Ok(()) };
            let up_to = state.mark.position;
            let Some(stream_id) = state.next_retry() else { return self.finish_retry_round(partition).await };
            if let Err(error) = self.resume_stream(partition, &stream_id, up_to).await? {
                return self.abort_retry_round(partition, error);
            }
        }
        Ok(())
    }

    fn abort_retry_round(&mut self, partition: Partition, error: PortError) -> Result<(), Stop> {
        let until = self.postpone(partition, error)?;
        if let Some(state) = self.owned.get_mut(&partition) {
            state.abort_retry_round(until);
        }
        Ok(())
    }

    async fn finish_retry_round(&mut self, partition: Partition) -> Result<(), Stop> {
        let now = Instant::now();
        let (retry_at, not_before) = (now + self.config.park_retry_interval, now + self.config.retry_delay_max);
        if let Err(error) = self.unblock_views(partition).await {
            return self.abort_retry_round(partition, error);
        }
        let parked_max = self.config.parked_streams_max;
        if let Some(state) = self.owned.get_mut(&partition) {
            state.finish_retry_round(retry_at, not_before);
            if state.status() == PartitionStatus::Halted && state.parked_count_max() <= parked_max {
                tracing::info!(partition = partition.number(), "halted partition resumed");
                state.resume_from_halt();
            }
        }
        Ok(())
    }

    /// Folds the events that the write database has of a parked stream, up to the partition's mark, into the views over
    /// single streams, and advances the stream's version. Returns a failure of the write database as the inner error.
    async fn resume_stream(
        &mut self,
        partition: Partition,
        stream_id: &StreamId,
        up_to: Position,
    ) -> Result<PortResult<()>, Stop> {
        // Ends, because each repetition parks the stream in at least one more view. Must end before a blocked view is
        // unblocked: that view would not know the stream's new version.
        loop {
            match self.try_resume_stream(partition, stream_id, up_to).await? {
                Ok(true) => return Ok(Ok(())),
                Ok(false) => {}
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    /// Returns whether it is complete; it is not where the stream had to be parked in more views first.
    async fn try_resume_stream(
        &mut self,
        partition: Partition,
        stream_id: &StreamId,
        up_to: Position,
    ) -> Result<PortResult<bool>, Stop> {
        let Some(first) = self.owned.get(&partition).and_then(|state| state.first_missing_version(stream_id)) else {
            return Ok(Ok(true));
        };
        let mut resuming = self.resuming_views(partition, stream_id);
        let limit = self.config.catch_up_events_max.max(1);
        let mut next = first;
        loop {
            let before = Version::new(next.number().saturating_sub(1));
            let mut events = match self.events.read_stream_after(stream_id, before, limit).await {
                Ok(events) => events,
                Err(error) => return Ok(Err(error)),
            };
            self.write_database_answered();
            let count = events.len();
            let is_dense = events.first().is_some_and(|event| event.version == next);
            events.retain(|event| event.position <= up_to);
            if events.is_empty() || !is_dense {
                if next == first {
                    let reason = "the write database does not have the next version of the stream";
                    for view in &mut resuming {
                        view.has_failed = true;
                        reason.clone_into(&mut view.at.reason);
                    }
                }
                break;
            }
            let is_last = count < limit || events.len() < count;
            next = events.last().map(|event| event.version.next()).unwrap_or_default();
            if !self.fold_stream_events(partition, &mut resuming, events).await? {
                return Ok(Ok(false));
            }
            if is_last {
                break;
            }
        }
        self.unpark_resumed(partition, stream_id, resuming);
        self.save_progress(&[partition]).await?;
        Ok(Ok(true))
    }

    /// The views into which the stream's events are folded one by one.
    fn resuming_views(&self, partition: Partition, stream_id: &StreamId) -> Vec<ResumingView> {
        let Some(state) = self.owned.get(&partition) else { return Vec::new() };
        // A view that is catching up has not reached the earlier events of the stream yet; it is retried once it is
        // live.
        let of_streams =
            state.views.iter().enumerate().filter(|(_, view)| view.scope == Scope::Stream && view.is_live());
        let parked = of_streams.filter_map(|(index, view)| Some((index, view.parked.get(stream_id)?.clone())));
        parked.map(|(view, at)| ResumingView { view, at, has_failed: false }).collect()
    }

    /// Folds events of a stream into the views in which it is parked. Returns whether all of them could be applied.
    ///
    /// The events may include more than was known to be missing: events that other views have passed without knowing.
    /// Then the stream is parked in these views first, and that is stored before the stream's version advances.
    async fn fold_stream_events(
        &mut self,
        partition: Partition,
        resuming: &mut [ResumingView],
        events: Vec<RecordedEvent>,
    ) -> Result<bool, Stop> {
        let selected: Vec<usize> = resuming.iter().map(|view| view.view).collect();
        let mut batch = self.prepare_batch(events, |_, view| selected.contains(&view)).await?;
        let stream_version = batch.stream_version(0);
        let new = batch.events.iter().map(|event| &event.record).find(|record| record.version > stream_version);
        if let Some((state, new)) = self.owned.get_mut(&partition).zip(new)
            && state.park_where_passed(&new.stream_id, stream_version, new.position)
        {
            self.save_progress(&[partition]).await?;
            return Ok(false);
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
        self.store_behind(batch.rows, partition).await?;
        Ok(true)
    }

    /// Unparks the stream in the views that have all of its events, and updates the reason in the others.
    fn unpark_resumed(&mut self, partition: Partition, stream_id: &StreamId, resuming: Vec<ResumingView>) {
        let Some(state) = self.owned.get_mut(&partition) else { return };
        for ResumingView { view, at, has_failed } in resuming {
            let Some(view_state) = state.views.get_mut(view) else { continue };
            let view = view_state.id;
            if has_failed {
                view_state.parked.insert(stream_id.clone(), at);
            } else {
                let partition = partition.number();
                tracing::info!(%view, partition, %stream_id, "parked stream resumed");
                view_state.parked.remove(stream_id);
            }
        }
    }

    /// Unblocks the views whose missing events can be read now: to catch up from their mark, or, where they have passed
    /// a missing event, to be rebuilt from the first event on.
    async fn unblock_views(&mut self, partition: Partition) -> PortResult<()> {
        for index in 0..self.views.len() {
            let Some(view_state) = self.owned.get(&partition).and_then(|state| state.views.get(index)) else {
                continue;
            };
            if !view_state.is_blocked() {
                continue;
            }
            let mark = view_state.mark.position;
            let parked: Vec<_> =
                view_state.parked.iter().map(|(stream_id, at)| (stream_id.clone(), at.version)).collect();
            let mut first_missing = Vec::with_capacity(parked.len());
            for (stream_id, version) in &parked {
                let before = Version::new(version.number().saturating_sub(1));
                let events = self.events.read_stream_after(stream_id, before, 1).await?;
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
