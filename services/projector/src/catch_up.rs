//! Reads from the write database: for a partition whose log has lost records, and for views that are behind their
//! partition.

use diptych_kernel::{
    Partition, Position, RecordedEvent,
    domain::{Domain, Scope},
    ports::{EventPage, EventStore, ProgressStore, ViewCache, ViewStore},
};

use crate::{
    apply::{BatchEvent, EventBatch},
    engine::Engine,
    error::Stop,
    partition::{ParkedAt, PartitionState, PartitionStatus, ViewState},
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
    /// Reads the next events of a partition from the write database; `None` where that failed and was postponed.
    pub(crate) async fn read_tail(&mut self, partition: Partition, after: Position) -> Result<Option<EventPage>, Stop> {
        let limit = self.config.catch_up_events_max.max(1);
        let read = self.heartbeat.beat_after(self.events.read_partition_after(partition, after, limit)).await;
        match read {
            Ok(tail) => {
                self.write_database_answered();
                self.metrics.caught_up.increment(u64::try_from(tail.events.len()).unwrap_or(u64::MAX));
                Ok(Some(tail))
            }
            Err(error) => self.postpone(partition, error).map(|_| None),
        }
    }

    /// Whether a tail was read to its end.
    pub(crate) fn is_end(&self, tail: &EventPage) -> bool {
        tail.events.len() < self.config.catch_up_events_max.max(1)
    }

    /// The log has lost records: applies the next events of the partition from the write database instead. At the end
    /// the log is read again; events that it still contains are repeats then.
    pub(crate) async fn recover_lost_records(&mut self, partition: Partition) -> Result<(), Stop> {
        let Some(after) = self.owned.get(&partition).map(|state| state.mark.position) else { return Ok(()) };
        let Some(tail) = self.read_tail(partition, after).await? else { return Ok(()) };
        let is_end = self.is_end(&tail);
        let (complete_up_to, read_at) = (tail.complete_up_to, tail.read_at);
        let mut batch = self.prepare_batch(tail.events, is_live).await?;
        for index in 0..batch.events.len() {
            if self.owned.get(&partition).is_some_and(|state| state.status() == PartitionStatus::Halted) {
                break;
            }
            self.apply_event(&mut batch, index);
        }
        if let Some(state) = self.owned.get_mut(&partition)
            && let PartitionStatus::Recovering(offset) = state.status()
            && is_end
        {
            state.advance(complete_up_to, read_at);
            state.become_starting(offset);
            tracing::info!(
                partition = partition.number(),
                position = state.mark.position.as_i64(),
                "the events that the log lost, or that another group has read from it, were read from the write database"
            );
        }
        self.store_live(batch.rows, &[partition], &BatchSpans::default()).await
    }

    /// Applies the next events of the partition to the views that are behind. A view that reaches the partition's mark
    /// becomes live.
    pub(crate) async fn catch_up_views(&mut self, partition: Partition) -> Result<(), Stop> {
        let Some(state) = self.owned.get(&partition) else { return Ok(()) };
        if let Some(view) = state.views.iter().position(ViewState::is_rebuilding) {
            return self.rebuild_rows(partition, view).await;
        }
        let end = state.mark.position;
        let behind = state.views.iter().filter(|view| view.is_catching_up());
        let Some(after) = behind.map(|view| view.mark.position).min() else { return Ok(()) };
        let (events, is_end) = if after < end {
            let Some(mut tail) = self.read_tail(partition, after).await? else { return Ok(()) };
            let is_end = self.is_end(&tail) || tail.complete_up_to >= end;
            tail.events.retain(|event| event.position <= end);
            (tail.events, is_end)
        } else {
            (Vec::new(), true)
        };
        let mut batch = self.prepare_batch(events, is_catching_up).await?;
        for index in 0..batch.events.len() {
            self.apply_to_views_behind(partition, &mut batch, index);
        }
        if let Some(state) = self.owned.get_mut(&partition).filter(|_| is_end) {
            state.join_caught_up_views();
        }
        self.halt_if_too_many(partition);
        self.store_behind(batch.rows, partition).await
    }

    /// Applies an event to the views that are behind and have not reached it yet.
    fn apply_to_views_behind(&mut self, partition: Partition, batch: &mut EventBatch<D::Event>, index: usize) {
        let Some(BatchEvent { record, .. }) = batch.events.get(index) else { return };
        let Some(state) = self.owned.get_mut(&partition) else { return };
        let RecordedEvent { position, version, recorded_at, .. } = *record;
        let stream_id = record.stream_id.clone();
        for (view_index, view) in self.views.iter().enumerate() {
            let is_before = |view: &&mut ViewState| view.is_catching_up() && view.mark.position < position;
            let Some(view_state) = state.views.get_mut(view_index).filter(is_before) else { continue };
            let is_parked = view_state.parked.get(&stream_id).is_some_and(|at| at.version <= version);
            let folded = if is_parked { Ok(()) } else { batch.fold(index, view_index, view.as_ref()) };
            if folded.is_ok() || view_state.scope == Scope::Stream {
                view_state.mark.advance(position, recorded_at);
            }
            if let Err(reason) = folded {
                self.metrics.streams_parked.increment(1);
                state.park(view_index, &stream_id, ParkedAt { version, reason });
            }
        }
    }
}

fn is_live(state: &PartitionState, view: usize) -> bool {
    state.views.get(view).is_some_and(ViewState::is_live)
}

fn is_catching_up(state: &PartitionState, view: usize) -> bool {
    state.views.get(view).is_some_and(ViewState::is_catching_up)
}
