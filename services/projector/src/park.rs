//! Parked streams: how they come to stand still, and how they are taken up again.

use std::collections::BTreeSet;

use diptych_kernel::{
    Partition, Position, RecordedEvent, StreamId, Version,
    domain::{Domain, Scope},
    ports::{EventStore, PortResult, ProgressStore, ViewCache, ViewStore},
};
use tokio::time::Instant;

use crate::{
    engine::Engine,
    error::Stop,
    partition::{ParkedAt, PartitionState, Phase, Standing},
    remake::Remake,
};

/// How many streams are tried in one piece of work, so that the log is listened to in between.
const STREAMS_PER_PIECE: usize = 16;

impl PartitionState {
    /// A view leaves a stream where it is. One that mixes streams stands still altogether.
    pub(crate) fn park(&mut self, view: usize, stream_id: &StreamId, at: ParkedAt, retry_at: Instant) {
        let Some(view_state) = self.views.get_mut(view) else { return };
        let (partition, version, reason) = (self.partition, at.version, at.reason.as_str());
        tracing::warn!(view = %view_state.id, %partition, %stream_id, %version, reason, "a stream is parked");
        view_state.parked.insert(stream_id.clone(), at);
        if view_state.scope == Scope::Partition {
            view_state.standing = Standing::Blocked;
        }
        self.has_parked_anew = true;
        self.retry_by(retry_at);
    }

    /// Parked streams are to be tried at this moment, or before.
    pub(crate) fn retry_by(&mut self, retry_at: Instant) {
        let retry_at = retry_at.max(self.retry_not_before);
        self.retry_at = Some(self.retry_at.map_or(retry_at, |at| at.min(retry_at)));
    }

    fn parked_streams(&self) -> BTreeSet<StreamId> {
        self.views.iter().flat_map(|view| view.parked.keys().cloned()).collect()
    }

    /// The first event of a stream that some view has not.
    fn first_missing(&self, stream_id: &StreamId) -> Option<Version> {
        self.views.iter().filter_map(|view| Some(view.parked.get(stream_id)?.version)).min()
    }
}

/// How far a view has taken up a stream in this try.
struct TakeUp {
    view: usize,
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
    /// A piece of a round of retries: streams first, then the views that stand still.
    pub(crate) async fn retry_parked(&mut self, partition: Partition) -> Result<(), Stop> {
        let Some(state) = self.owned.get_mut(&partition) else { return Ok(()) };
        if !state.is_retrying {
            state.retry_streams = state.parked_streams().into_iter().collect();
            state.is_retrying = true;
            state.retry_at = None;
        }
        for _ in 0..STREAMS_PER_PIECE {
            let Some(stream_id) = self.owned.get_mut(&partition).and_then(|state| state.retry_streams.pop_front())
            else {
                return self.end_round(partition).await;
            };
            let Some(events_up_to) = self.owned.get(&partition).map(|state| state.live.position) else { return Ok(()) };
            if let Err(error) = self.take_up(partition, &stream_id, events_up_to).await? {
                return self.break_round_off(partition, error);
            }
        }
        Ok(())
    }

    fn break_round_off(&mut self, partition: Partition, error: diptych_kernel::ports::PortError) -> Result<(), Stop> {
        let until = self.put_off(partition, error)?;
        if let Some(state) = self.owned.get_mut(&partition) {
            state.retry_streams.clear();
            state.is_retrying = false;
            state.retry_at = Some(until);
        }
        Ok(())
    }

    async fn end_round(&mut self, partition: Partition) -> Result<(), Stop> {
        let now = Instant::now();
        let (retry_at, not_before) = (now + self.config.park_retry, now + self.config.retry_delay_max);
        if let Err(error) = self.unblock_views(partition).await {
            return self.break_round_off(partition, error);
        }
        let parked_max = self.config.parked_streams_max;
        if let Some(state) = self.owned.get_mut(&partition) {
            state.is_retrying = false;
            state.retry_not_before = not_before;
            // What was parked meanwhile may be due earlier.
            state.retry_by(retry_at);
            state.retry_at = state.retry_at.filter(|_| state.has_parked()).map(|at| at.max(not_before));
            if state.phase == Phase::Halted && state.views.iter().all(|view| view.parked.len() <= parked_max) {
                tracing::info!(%partition, "the partition goes on");
                state.phase = Phase::Recovering(state.taken);
            }
        }
        Ok(())
    }

    /// Folds what the write side has of a parked stream, up to where the partition is, into the views of single streams, and moves the
    /// stream's head there. A failure of the write side is given back; others are not failures of this.
    async fn take_up(
        &mut self,
        partition: Partition,
        stream_id: &StreamId,
        up_to: Position,
    ) -> Result<PortResult<()>, Stop> {
        // Each time round the stream is parked in more views, so this ends. It does so before a view that stands still is let go, which
        // would not know of the stream's head.
        loop {
            match self.try_to_take_up(partition, stream_id, up_to).await? {
                Ok(true) => return Ok(Ok(())),
                Ok(false) => {}
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    /// Returns whether it is done; it is not where the stream had to be parked in more views first.
    async fn try_to_take_up(
        &mut self,
        partition: Partition,
        stream_id: &StreamId,
        up_to: Position,
    ) -> Result<PortResult<bool>, Stop> {
        let Some(first) = self.owned.get(&partition).and_then(|state| state.first_missing(stream_id)) else {
            return Ok(Ok(true));
        };
        let mut takers = self.takers(partition, stream_id);
        let limit = self.config.catch_up_events_max.max(1);
        let mut next = first;
        loop {
            let before = Version::new(next.number().saturating_sub(1));
            let mut events = match self.events.read_stream_after(stream_id, before, limit).await {
                Ok(events) => events,
                Err(error) => return Ok(Err(error)),
            };
            self.write_side_answered();
            let count = events.len();
            let is_dense = events.first().is_some_and(|event| event.version == next);
            events.retain(|event| event.position <= up_to);
            if events.is_empty() || !is_dense {
                if next == first {
                    self.leave_parked(&mut takers, "the write database does not have the next version of the stream");
                }
                break;
            }
            let is_last = count < limit || events.len() < count;
            next = events.last().map(|event| event.version.next()).unwrap_or_default();
            if !self.fold_taken_up(partition, &mut takers, events).await? {
                return Ok(Ok(false));
            }
            if is_last {
                break;
            }
        }
        self.settle(partition, stream_id, takers);
        self.save_progress(&[partition]).await?;
        Ok(Ok(true))
    }

    /// The views that take the stream up event by event.
    fn takers(&self, partition: Partition, stream_id: &StreamId) -> Vec<TakeUp> {
        let Some(state) = self.owned.get(&partition) else { return Vec::new() };
        // One that is being filled has not got to the stream's events before these yet; its turn comes when it has.
        let of_streams =
            state.views.iter().enumerate().filter(|(_, view)| view.scope == Scope::Stream && view.is_live());
        let parked = of_streams.filter_map(|(index, view)| Some((index, view.parked.get(stream_id)?.clone())));
        parked.map(|(view, at)| TakeUp { view, at, has_failed: false }).collect()
    }

    fn leave_parked(&self, takers: &mut [TakeUp], reason: &str) {
        for taker in takers {
            taker.has_failed = true;
            reason.clone_into(&mut taker.at.reason);
        }
    }

    /// Folds events of a stream into the views in which it is parked. Returns whether all of them could be taken.
    ///
    /// What comes to light here can be more than was known to be missing: events that other views have passed by too, without knowing. Then
    /// the stream is parked in these first, and that is stored before the head moves.
    async fn fold_taken_up(
        &mut self,
        partition: Partition,
        takers: &mut [TakeUp],
        events: Vec<RecordedEvent>,
    ) -> Result<bool, Stop> {
        let wanted: Vec<usize> = takers.iter().map(|taker| taker.view).collect();
        let mut work = self.prepare(events, |_, view| wanted.contains(&view)).await?;
        let head = work.head(0);
        let new = work.items.iter().find(|item| item.record.version > head).map(|item| &item.record);
        if let Some((state, new)) = self.owned.get_mut(&partition).zip(new)
            && state.park_where_passed(&new.stream_id, head, new.position)
        {
            self.save_progress(&[partition]).await?;
            return Ok(false);
        }
        for item in 0..work.items.len() {
            let Some(version) = work.items.get(item).map(|item| item.record.version) else { continue };
            for taker in takers.iter_mut().filter(|taker| !taker.has_failed && taker.at.version <= version) {
                let Some(view) = self.views.get(taker.view) else { continue };
                match work.fold(item, taker.view, view.as_ref()) {
                    Ok(()) => taker.at.version = version.next(),
                    Err(reason) => {
                        taker.at = ParkedAt { version, reason };
                        taker.has_failed = true;
                    }
                }
            }
            if work.head(item) < version {
                work.move_head(item);
            }
        }
        self.store_behind(work.rows, partition).await?;
        Ok(true)
    }

    /// A view that has taken up all of the stream goes on with it.
    fn settle(&mut self, partition: Partition, stream_id: &StreamId, takers: Vec<TakeUp>) {
        let Some(state) = self.owned.get_mut(&partition) else { return };
        for TakeUp { view, at, has_failed } in takers {
            let Some(view_state) = state.views.get_mut(view) else { continue };
            let view = view_state.id;
            if has_failed {
                view_state.parked.insert(stream_id.clone(), at);
            } else {
                tracing::info!(%view, %partition, %stream_id, "a parked stream was taken up again");
                view_state.parked.remove(stream_id);
            }
        }
    }

    /// Lets the views that stand still go on, where what they stand still for can be had: from where they stand, or, where they have
    /// passed it by, from the first event on.
    async fn unblock_views(&mut self, partition: Partition) -> PortResult<()> {
        for index in 0..self.views.len() {
            let Some(view_state) = self.owned.get(&partition).and_then(|state| state.views.get(index)) else {
                continue;
            };
            if !matches!(view_state.standing, Standing::Blocked) {
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
                view_state.standing = Standing::Remaking(Remake::default());
            } else {
                view_state.parked.clear();
                view_state.standing = Standing::Behind;
            }
        }
        Ok(())
    }
}
