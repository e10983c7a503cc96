//! Folding: decode each event once, find its rows, fold it into each.

use std::cmp::Ordering;

use diptych_kernel::{
    Partition, Position, RecordedEvent, StreamId, Version,
    domain::{DecodedEvent, Domain, Scope, View},
    ports::{EventStore, ProgressStore, ViewCache, ViewStore},
};

use tokio::time::Instant;

use crate::{
    engine::Engine,
    error::Stop,
    heads::{encode_head, head_key, head_version},
    partition::{ParkedAt, PartitionState, Phase, Standing, ViewState},
    rows::{Slot, WorkingSet},
};

/// An event that was read.
pub(crate) struct Item<E> {
    pub(crate) record: RecordedEvent,
    /// The event, or why it cannot be read.
    pub(crate) event: Result<E, String>,
    /// The place of its stream's head.
    pub(crate) head: usize,
}

/// Events with all the rows that they need.
pub(crate) struct Work<E> {
    pub(crate) items: Vec<Item<E>>,
    pub(crate) rows: WorkingSet,
    /// For each event, for each view: the place of its row.
    places: Vec<Option<usize>>,
    views: usize,
}

impl<E> Work<E> {
    /// The place of an event's row in a view, where it has one there.
    pub(crate) fn place(&self, item: usize, view: usize) -> Option<usize> {
        self.places.get(item * self.views + view).copied().flatten()
    }

    /// The views in which an event's row is going to be written, by this event or one after it.
    pub(crate) fn changed_views(&self, item: usize) -> impl Iterator<Item = usize> + '_ {
        let position = self.items.get(item).map(|item| item.record.position);
        (0..self.views).filter(move |view| {
            let slot = self.place(item, *view).and_then(|place| self.rows.slots.get(place));
            slot.zip(position).is_some_and(|(slot, position)| slot.is_changed && slot.has(position))
        })
    }

    /// Folds an event into its row of a view.
    ///
    /// # Errors
    /// Why it cannot be folded.
    pub(crate) fn fold(&mut self, item: usize, index: usize, view: &dyn View<E>) -> Result<(), String> {
        let place = self.place(item, index);
        let Some(Item { record, event, .. }) = self.items.get(item) else { return Ok(()) };
        let event = event.as_ref().map_err(Clone::clone)?;
        let Some(slot) = place.and_then(|place| self.rows.slots.get_mut(place)) else { return Ok(()) };
        fold_into(view, slot, DecodedEvent { record, event })
    }

    /// The version that an event's stream has got to.
    pub(crate) fn head(&self, item: usize) -> Version {
        let slot = self.items.get(item).and_then(|item| self.rows.slots.get(item.head));
        head_version(slot.and_then(|slot| slot.row.as_ref()))
    }

    /// The stream of an event has got to it.
    pub(crate) fn move_head(&mut self, item: usize) {
        let Some(Item { record, head, .. }) = self.items.get(item) else { return };
        if let Some(slot) = self.rows.slots.get_mut(*head) {
            slot.set(record.position, record.recorded_at, Some(encode_head(record.version)));
        }
    }
}

/// Folds an event into a row, unless it is in there already.
fn fold_into<E>(view: &dyn View<E>, slot: &mut Slot, event: DecodedEvent<'_, E>) -> Result<(), String> {
    if slot.has(event.record.position) {
        return Ok(());
    }
    let body = view.fold(slot.body(), event).map_err(|error| error.to_string())?;
    slot.set(event.record.position, event.record.recorded_at, body);
    Ok(())
}

/// Why a stream stands still though its events can be read.
const MISSED: &str = "the log has left out events of the stream, or brought them too late";

/// How an event stands to what its stream has got to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// It came before. Its rows may lag behind all the same, as writes are not atomic: they say for themselves.
    Repeat,
    Next,
    /// Versions are missing before it.
    Gap,
}

/// What a view has to do with an event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Nothing: it has it, or gets it from the write side in its turn.
    None,
    /// To fold it, where it is not in the row yet.
    Fold,
    /// To see that it has passed by this event, or one before it.
    Missed,
}

/// What came of an event's turns in all views.
#[derive(Clone, Copy, Default)]
struct Turns {
    /// One of them has missed it, or one before it.
    is_missed: bool,
    /// Its stream was parked in one of them.
    has_parked: bool,
}

impl ViewState {
    /// A view that is filled from the write side has its own turn at every event after its mark; what comes to light before its mark it has
    /// missed like the others. Only a remake takes everything in.
    fn turn(&self, order: Order, position: Position) -> Turn {
        let has_passed = position <= self.mark.position;
        match (&self.standing, self.scope, order) {
            (Standing::Remaking(_), ..) => Turn::None,
            (_, _, Order::Gap) => Turn::Missed,
            // Its rows are made of one stream each, of which this is the next event.
            (Standing::Live, Scope::Stream, _) => Turn::Fold,
            (_, _, Order::Next) if has_passed => Turn::Missed,
            (_, _, Order::Repeat) if has_passed => Turn::None,
            (Standing::Live, ..) => Turn::Fold,
            (Standing::Behind | Standing::Blocked, ..) => Turn::None,
        }
    }
}

impl PartitionState {
    /// Events of a stream after its head have come to light on the write side: parks the stream in every view that has passed them by.
    /// Returns whether there was one.
    pub(crate) fn park_where_passed(&mut self, stream_id: &StreamId, head: Version, first: Position) -> bool {
        let has_passed = |view: &ViewState| {
            let is_remaking = matches!(view.standing, Standing::Remaking(_));
            !is_remaking && first <= view.mark.position && !view.parked.contains_key(stream_id)
        };
        let passed: Vec<usize> =
            (0..).zip(&self.views).filter(|(_, view)| has_passed(view)).map(|(index, _)| index).collect();
        for view in &passed {
            let at = ParkedAt { version: head.next(), reason: MISSED.to_owned() };
            self.park(*view, stream_id, at, Instant::now());
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
    /// Decodes events and gets the rows that they need in the views for which `takes` says yes: from memory, or with one read per table.
    pub(crate) async fn prepare(
        &mut self,
        records: Vec<RecordedEvent>,
        takes: impl Fn(&PartitionState, usize) -> bool,
    ) -> Result<Work<D::Event>, Stop> {
        let (heads, views) = (self.heads(), self.views.len());
        let mut rows = WorkingSet::new(self.tables.len());
        let mut places = Vec::with_capacity(records.len() * views);
        let mut items = Vec::with_capacity(records.len());
        for record in records {
            let event = D::decode_event(&record.event_type, &record.payload).map_err(|error| error.to_string());
            let partition = record.partition;
            let head = rows.slot(&mut self.hot, &self.tables, heads, head_key(&record.stream_id), partition);
            let state = self.owned.get(&partition);
            for (index, view) in self.views.iter().enumerate() {
                let is_taken = state.is_some_and(|state| takes(state, index));
                let recorded =
                    event.as_ref().ok().filter(|_| is_taken).map(|event| DecodedEvent { record: &record, event });
                let key = recorded.and_then(|recorded| view.key(recorded));
                places.push(key.map(|key| rows.slot(&mut self.hot, &self.tables, index, key, partition)));
            }
            items.push(Item { record, event, head });
        }
        self.read_unknown(&mut rows).await?;
        Ok(Work { items, rows, places, views })
    }

    /// Takes an event into the partition as a whole: all views that go with it, and the stream's head. Returns whether its stream was parked
    /// in one of them.
    pub(crate) fn take_event(&mut self, work: &mut Work<D::Event>, item: usize) -> bool {
        let Some(Item { record, .. }) = work.items.get(item) else { return false };
        let RecordedEvent { position, version, recorded_at, partition, .. } = *record;
        let head = work.head(item);
        let order = match version.cmp(&head.next()) {
            Ordering::Less => Order::Repeat,
            Ordering::Equal => Order::Next,
            Ordering::Greater => Order::Gap,
        };
        let Turns { is_missed, has_parked } = self.take_turns(work, item, order);
        // Not over what is missed: were the head stored and the parking not, it would be forgotten.
        if order == Order::Next && !is_missed {
            work.move_head(item);
        }
        if let Some(state) = self.owned.get_mut(&partition) {
            state.advance(position, recorded_at);
        }
        has_parked
    }

    /// Lets every view in which the event's stream is not parked do what it has to do with the event.
    fn take_turns(&mut self, work: &mut Work<D::Event>, item: usize, order: Order) -> Turns {
        let mut turns = Turns::default();
        let head = work.head(item);
        let Some(Item { record, .. }) = work.items.get(item) else { return turns };
        let Some(state) = self.owned.get_mut(&record.partition) else { return turns };
        let RecordedEvent { position, version, partition, .. } = *record;
        let stream_id = record.stream_id.clone();
        for (index, view) in self.views.iter().enumerate() {
            let Some(view_state) = state.views.get(index) else { continue };
            if view_state.parked.contains_key(&stream_id) {
                self.metrics.events_skipped.increment(1);
                continue;
            }
            let (first_missing, taken) = match view_state.turn(order, position) {
                Turn::None => continue,
                Turn::Fold => (version, work.fold(item, index, view.as_ref())),
                Turn::Missed => {
                    turns.is_missed = true;
                    (head.next(), Err(MISSED.to_owned()))
                }
            };
            let Err(reason) = taken else { continue };
            turns.has_parked = true;
            self.metrics.streams_parked.increment(1);
            let retry_at = Instant::now() + self.config.park_retry;
            state.park(index, &stream_id, ParkedAt { version: first_missing, reason }, retry_at);
        }
        if turns.is_missed {
            // It can be had from the write side at once.
            state.retry_by(Instant::now());
        }
        if turns.has_parked {
            self.halt_if_too_many(partition);
        }
        turns
    }

    /// Stops a partition in which too much is parked. Everything taken in so far stays.
    pub(crate) fn halt_if_too_many(&mut self, partition: Partition) {
        let parked_max = self.config.parked_streams_max;
        let Some(state) = self.owned.get_mut(&partition) else { return };
        if state.phase != Phase::Halted && state.views.iter().any(|view| view.parked.len() > parked_max) {
            tracing::error!(%partition, parked_max, "too many streams are parked; the partition halts until they can be taken up again");
            state.phase = Phase::Halted;
        }
    }
}
