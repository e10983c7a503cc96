//! Catching up from the write side: a partition of which the log has lost something, and views that are behind their partition.

use diptych_kernel::{
    Partition, Position, RecordedEvent,
    domain::{Domain, Scope},
    ports::{EventPage, EventStore, ProgressStore, ViewCache, ViewStore},
};

use tokio::time::Instant;

use crate::{
    apply::{Item, Work},
    engine::Engine,
    error::Stop,
    partition::{ParkedAt, PartitionState, Phase, Standing, ViewState},
    trace::BatchSpans,
};

impl<D, S, V, P, C> Engine<D, S, V, P, C>
where
    D: Domain,
    S: EventStore,
    V: ViewStore,
    P: ProgressStore,
    C: ViewCache,
{
    /// Reads a piece of a partition from the write side; `None` where that failed and is put off.
    pub(crate) async fn read_tail(&mut self, partition: Partition, after: Position) -> Result<Option<EventPage>, Stop> {
        let limit = self.config.catch_up_events_max.max(1);
        match self.events.read_partition_after(partition, after, limit).await {
            Ok(tail) => {
                self.write_side_answered();
                self.metrics.caught_up.increment(u64::try_from(tail.events.len()).unwrap_or(u64::MAX));
                Ok(Some(tail))
            }
            Err(error) => self.put_off(partition, error).map(|_| None),
        }
    }

    /// Whether a tail was read to its end.
    pub(crate) fn is_end(&self, tail: &EventPage) -> bool {
        tail.events.len() < self.config.catch_up_events_max.max(1)
    }

    /// The log has lost records: takes a piece of the partition from the write side instead. At its end the log is read on, and what it
    /// still brings of this is a repeat.
    pub(crate) async fn recover(&mut self, partition: Partition) -> Result<(), Stop> {
        let Some(after) = self.owned.get(&partition).map(|state| state.live.position) else { return Ok(()) };
        let Some(tail) = self.read_tail(partition, after).await? else { return Ok(()) };
        let is_end = self.is_end(&tail);
        let (complete_up_to, read_at) = (tail.complete_up_to, tail.read_at);
        let mut work = self.prepare(tail.events, is_live).await?;
        for item in 0..work.items.len() {
            if self.owned.get(&partition).is_some_and(|state| state.phase == Phase::Halted) {
                break;
            }
            self.take_event(&mut work, item);
        }
        if let Some(state) = self.owned.get_mut(&partition)
            && let Phase::Recovering(offset) = state.phase
            && is_end
        {
            state.advance(complete_up_to, read_at);
            state.phase = Phase::Starting(offset);
            tracing::info!(%partition, position = %state.live.position, "what the log has lost was read from the write database");
        }
        self.store_live(work.rows, &[partition], &BatchSpans::default()).await
    }

    /// Takes a piece of the partition into the views that are behind. A view that gets to where the partition is goes with it from then on.
    pub(crate) async fn catch_up_views(&mut self, partition: Partition) -> Result<(), Stop> {
        let Some(state) = self.owned.get(&partition) else { return Ok(()) };
        let remaking = state.views.iter().position(|view| matches!(view.standing, Standing::Remaking(_)));
        if let Some(view) = remaking {
            return self.remake(partition, view).await;
        }
        let live = state.live;
        let behind = state.views.iter().filter(|view| view.is_behind());
        let Some(after) = behind.map(|view| view.mark.position).min() else { return Ok(()) };
        let (events, is_end) = if after < live.position {
            let Some(mut tail) = self.read_tail(partition, after).await? else { return Ok(()) };
            let is_end = self.is_end(&tail) || tail.complete_up_to >= live.position;
            tail.events.retain(|event| event.position <= live.position);
            (tail.events, is_end)
        } else {
            (Vec::new(), true)
        };
        let mut work = self.prepare(events, is_behind).await?;
        for item in 0..work.items.len() {
            self.take_behind(partition, &mut work, item);
        }
        if let Some(state) = self.owned.get_mut(&partition).filter(|_| is_end) {
            state.let_views_join();
        }
        self.halt_if_too_many(partition);
        self.store_behind(work.rows, partition).await
    }

    /// Takes an event into the views that are behind and have not got to it yet.
    fn take_behind(&mut self, partition: Partition, work: &mut Work<D::Event>, item: usize) {
        let retry_at = Instant::now() + self.config.park_retry;
        let Some(Item { record, .. }) = work.items.get(item) else { return };
        let Some(state) = self.owned.get_mut(&partition) else { return };
        let RecordedEvent { position, version, recorded_at, .. } = *record;
        let stream_id = record.stream_id.clone();
        for (index, view) in self.views.iter().enumerate() {
            let is_wanted = |view: &&mut ViewState| view.is_behind() && view.mark.position < position;
            let Some(view_state) = state.views.get_mut(index).filter(is_wanted) else { continue };
            let is_parked = view_state.parked.get(&stream_id).is_some_and(|at| at.version <= version);
            let folded = if is_parked { Ok(()) } else { work.fold(item, index, view.as_ref()) };
            if folded.is_ok() || view_state.scope == Scope::Stream {
                view_state.mark.advance(position, recorded_at);
            }
            if let Err(reason) = folded {
                self.metrics.streams_parked.increment(1);
                state.park(index, &stream_id, ParkedAt { version, reason }, retry_at);
            }
        }
    }
}

fn is_live(state: &PartitionState, view: usize) -> bool {
    state.views.get(view).is_some_and(ViewState::is_live)
}

fn is_behind(state: &PartitionState, view: usize) -> bool {
    state.views.get(view).is_some_and(ViewState::is_behind)
}

impl PartitionState {
    /// Views that were filled up to where the partition is go with it from now on.
    fn let_views_join(&mut self) {
        let (live, mut has_parked) = (self.live, false);
        for view in self.views.iter_mut().filter(|view| view.is_behind()) {
            view.mark.catch_up_with(live);
            view.standing = Standing::Live;
            has_parked |= !view.parked.is_empty();
        }
        if has_parked {
            self.retry_by(Instant::now());
        }
    }
}
