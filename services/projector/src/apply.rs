//! Application of events to rows: each event is decoded once, its rows are looked up, and it is folded into each.

use std::cmp::Ordering;

use diptych_kernel::{
    Partition, Position, RecordedEvent, StreamId, Version,
    domain::{DecodedEvent, Domain, Scope, View},
    ports::{EventStore, ProgressStore, ViewCache, ViewStore},
};

use crate::{
    engine::Engine,
    error::Stop,
    partition::{ParkedAt, PartitionState, PartitionStatus, ViewState, ViewStatus},
    rows::{RowSlot, WorkingSet},
    stream_versions::{decode_version, encode_version, stream_key},
};

/// An event of a batch.
pub(crate) struct BatchEvent<E> {
    pub(crate) record: RecordedEvent,
    /// The decoded event, or the reason why it cannot be decoded.
    pub(crate) event: Result<E, String>,
    /// The slot of its stream's version.
    pub(crate) version_slot: usize,
}

/// Events together with all the rows that they need.
pub(crate) struct EventBatch<E> {
    pub(crate) events: Vec<BatchEvent<E>>,
    pub(crate) rows: WorkingSet,
    /// For each event, for each view: the slot of its row.
    slots: Vec<Option<usize>>,
    views: usize,
}

impl<E> EventBatch<E> {
    /// The slot of an event's row in a view, if the event has a row there.
    pub(crate) fn slot_of(&self, index: usize, view: usize) -> Option<usize> {
        self.slots.get(index * self.views + view).copied().flatten()
    }

    /// The views in which the row of an event is changed, by this event or a later one.
    pub(crate) fn changed_views(&self, index: usize) -> impl Iterator<Item = usize> + '_ {
        let position = self.events.get(index).map(|event| event.record.position);
        (0..self.views).filter(move |view| {
            let slot = self.slot_of(index, *view).and_then(|slot| self.rows.slots.get(slot));
            slot.zip(position).is_some_and(|(slot, position)| slot.is_changed && slot.contains(position))
        })
    }

    /// Folds an event into its row of a view.
    ///
    /// # Errors
    /// The reason why it cannot be folded.
    pub(crate) fn fold(&mut self, index: usize, view_index: usize, view: &dyn View<E>) -> Result<(), String> {
        let slot = self.slot_of(index, view_index);
        let Some(BatchEvent { record, event, .. }) = self.events.get(index) else { return Ok(()) };
        let event = event.as_ref().map_err(Clone::clone)?;
        let Some(slot) = slot.and_then(|slot| self.rows.slots.get_mut(slot)) else { return Ok(()) };
        fold_into(view, slot, DecodedEvent { record, event })
    }

    /// The current version of an event's stream.
    pub(crate) fn stream_version(&self, index: usize) -> Version {
        let slot = self.events.get(index).and_then(|event| self.rows.slots.get(event.version_slot));
        decode_version(slot.and_then(|slot| slot.row.as_ref()))
    }

    /// Sets the version of an event's stream to that of the event.
    pub(crate) fn advance_stream_version(&mut self, index: usize) {
        let Some(BatchEvent { record, version_slot, .. }) = self.events.get(index) else { return };
        if let Some(slot) = self.rows.slots.get_mut(*version_slot) {
            slot.set(record.position, record.recorded_at, Some(encode_version(record.version)));
        }
    }
}

/// Folds an event into a row, unless the row contains it already.
fn fold_into<E>(view: &dyn View<E>, slot: &mut RowSlot, event: DecodedEvent<'_, E>) -> Result<(), String> {
    if slot.contains(event.record.position) {
        return Ok(());
    }
    let body = view.fold(slot.body(), event).map_err(|error| error.to_string())?;
    slot.set(event.record.position, event.record.recorded_at, body);
    Ok(())
}

/// The reason for parking a stream whose events can be decoded.
const MISSED_REASON: &str = "events of the stream are missing in the log, or arrived too late";

/// The version of an event relative to the version of its stream.
#[derive(Clone, Copy, PartialEq, Eq)]
enum VersionOrder {
    /// Seen before. Its rows may lag behind nevertheless, as writes are not atomic; each row's position decides.
    Repeat,
    Next,
    /// Versions are missing before it.
    Gap,
}

/// The action of a view for an event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ViewAction {
    /// The view contains the event, or will read it from the write database.
    Skip,
    /// Folds the event into the row, unless the row contains it.
    Fold,
    /// The view has passed this event, or an earlier one of its stream: its stream is parked.
    ParkMissed,
}

/// The results of an event's actions in all views.
#[derive(Clone, Copy, Default)]
struct ActionResults {
    /// Whether a view has missed the event, or an earlier one of its stream.
    is_missed: bool,
    /// Whether its stream was parked in a view.
    has_parked: bool,
}

impl ViewState {
    /// A view that catches up reads every event after its mark from the write database, so it skips them here. An event
    /// at or before its mark that it lacks is missing, as for a live view. Only a rebuild reads all events again.
    fn action(&self, order: VersionOrder, position: Position) -> ViewAction {
        let has_passed = position <= self.mark.position;
        match (&self.status, self.scope, order) {
            (ViewStatus::Rebuilding(_), ..) => ViewAction::Skip,
            (_, _, VersionOrder::Gap) => ViewAction::ParkMissed,
            // Each of its rows consists of events of one stream, of which this is the next one.
            (ViewStatus::Live, Scope::Stream, _) => ViewAction::Fold,
            (_, _, VersionOrder::Next) if has_passed => ViewAction::ParkMissed,
            (_, _, VersionOrder::Repeat) if has_passed => ViewAction::Skip,
            (ViewStatus::Live, ..) => ViewAction::Fold,
            (ViewStatus::CatchingUp | ViewStatus::Blocked, ..) => ViewAction::Skip,
        }
    }
}

impl PartitionState {
    /// Parks a stream in every view that has passed newly found events of it, after `version` and from the position
    /// `first` on. Returns whether there was such a view.
    pub(crate) fn park_where_passed(&mut self, stream_id: &StreamId, version: Version, first: Position) -> bool {
        let has_passed = |view: &ViewState| {
            !view.is_rebuilding() && first <= view.mark.position && !view.parked.contains_key(stream_id)
        };
        let passed: Vec<usize> =
            (0..).zip(&self.views).filter(|(_, view)| has_passed(view)).map(|(index, _)| index).collect();
        for view in &passed {
            let at = ParkedAt { version: version.next(), reason: MISSED_REASON.to_owned() };
            self.park(*view, stream_id, at);
            self.retry_now(stream_id);
        }
        !passed.is_empty()
    }
}

impl<D, S, V, P, C> Engine<D, S, V, P, C>
where
    D: Domain,
    S: EventStore,
    V: ViewStore,
    P: ProgressStore,
    C: ViewCache,
{
    /// Returns the version of a stream, as known in memory or stored.
    pub(crate) async fn stream_version(&mut self, partition: Partition, stream_id: &StreamId) -> Result<Version, Stop> {
        let (mut rows, table) = (WorkingSet::new(self.tables.len()), self.stream_versions_table());
        let slot = rows.slot(&mut self.hot_rows, &self.tables, table, stream_key(stream_id), partition);
        self.read_unknown(&mut rows).await?;
        let version = decode_version(rows.slots.get(slot).and_then(|slot| slot.row.as_ref()));
        rows.keep(&mut self.hot_rows, &self.tables);
        Ok(version)
    }

    /// Decodes events and gets the rows that they need in the selected views: from memory, or with one read per table.
    pub(crate) async fn prepare_batch(
        &mut self,
        records: Vec<RecordedEvent>,
        is_selected: impl Fn(&PartitionState, usize) -> bool,
    ) -> Result<EventBatch<D::Event>, Stop> {
        let (versions, views) = (self.stream_versions_table(), self.views.len());
        let mut rows = WorkingSet::new(self.tables.len());
        let mut slots = Vec::with_capacity(records.len() * views);
        let mut events = Vec::with_capacity(records.len());
        for record in records {
            let event = D::decode_event(&record.event_type, &record.payload).map_err(|error| error.to_string());
            let partition = record.partition;
            let key = stream_key(&record.stream_id);
            let version_slot = rows.slot(&mut self.hot_rows, &self.tables, versions, key, partition);
            let state = self.owned.get(&partition);
            for (index, view) in self.views.iter().enumerate() {
                let is_selected = state.is_some_and(|state| is_selected(state, index));
                let recorded =
                    event.as_ref().ok().filter(|_| is_selected).map(|event| DecodedEvent { record: &record, event });
                let key = recorded.and_then(|recorded| view.key(recorded));
                slots.push(key.map(|key| rows.slot(&mut self.hot_rows, &self.tables, index, key, partition)));
            }
            events.push(BatchEvent { record, event, version_slot });
        }
        self.read_unknown(&mut rows).await?;
        Ok(EventBatch { events, rows, slots, views })
    }

    /// Applies an event to the partition: to all live views, and to the version of its stream. Returns whether the
    /// stream was parked in a view.
    pub(crate) fn apply_event(&mut self, batch: &mut EventBatch<D::Event>, index: usize) -> bool {
        let Some(BatchEvent { record, .. }) = batch.events.get(index) else { return false };
        let RecordedEvent { position, version, recorded_at, partition, .. } = *record;
        let stream_version = batch.stream_version(index);
        let order = match version.cmp(&stream_version.next()) {
            Ordering::Less => VersionOrder::Repeat,
            Ordering::Equal => VersionOrder::Next,
            Ordering::Greater => VersionOrder::Gap,
        };
        let ActionResults { is_missed, has_parked } = self.apply_to_views(batch, index, order);
        // Not past missed events: if the version were stored and the parking not, the gap would be forgotten.
        if order == VersionOrder::Next && !is_missed {
            batch.advance_stream_version(index);
        }
        if let Some(state) = self.owned.get_mut(&partition) {
            state.advance(position, recorded_at);
        }
        has_parked
    }

    /// Applies an event to every view in which its stream is not parked.
    fn apply_to_views(&mut self, batch: &mut EventBatch<D::Event>, index: usize, order: VersionOrder) -> ActionResults {
        let mut results = ActionResults::default();
        let stream_version = batch.stream_version(index);
        let Some(BatchEvent { record, .. }) = batch.events.get(index) else { return results };
        let Some(state) = self.owned.get_mut(&record.partition) else { return results };
        let RecordedEvent { position, version, partition, .. } = *record;
        let stream_id = record.stream_id.clone();
        for (view_index, view) in self.views.iter().enumerate() {
            let Some(view_state) = state.views.get(view_index) else { continue };
            if view_state.parked.contains_key(&stream_id) {
                self.metrics.events_skipped.increment(1);
                continue;
            }
            let (first_missing, applied) = match view_state.action(order, position) {
                ViewAction::Skip => continue,
                ViewAction::Fold => (version, batch.fold(index, view_index, view.as_ref())),
                ViewAction::ParkMissed => {
                    results.is_missed = true;
                    (stream_version.next(), Err(MISSED_REASON.to_owned()))
                }
            };
            let Err(reason) = applied else { continue };
            results.has_parked = true;
            self.metrics.streams_parked.increment(1);
            state.park(view_index, &stream_id, ParkedAt { version: first_missing, reason });
        }
        if order == VersionOrder::Gap {
            state.skip_version(&stream_id);
        }
        if results.is_missed {
            // The missing events can be read from the write database at once.
            state.retry_now(&stream_id);
        }
        if results.has_parked {
            self.halt_if_too_many(partition);
        }
        results
    }

    /// Halts a partition in which too many streams are parked. Everything applied so far remains.
    pub(crate) fn halt_if_too_many(&mut self, partition: Partition) {
        let parked_max = self.config.parked_streams_max;
        let Some(state) = self.owned.get_mut(&partition) else { return };
        if state.status() != PartitionStatus::Halted && state.parked_count_max() > parked_max {
            tracing::error!(
                partition = partition.number(),
                parked_max,
                "partition halted: too many streams are parked; fix the cause given in the parked-stream warnings"
            );
            state.become_halted();
        }
    }
}
