//! Later releases of the theatre: the same domain with other decoding or another fold.

use std::{marker::PhantomData, sync::Arc};

use bytes::Bytes;
use diptych_kernel::{
    StreamId,
    domain::{DecodeError, DecodedEvent, Domain, FoldError, RowKey, Scope, View, ViewId},
    testing::theatre::{Command, Event, Refusal, SEATS, Seat, Theatre, UNFOLDABLE, VISITS},
};

/// The changes of a release.
pub(crate) trait Release: 'static {
    fn decode_event(event_type: &str, payload: &[u8]) -> Result<Event, DecodeError> {
        Theatre::decode_event(event_type, payload)
    }

    /// The replacement of the view of seats.
    fn seats(seats: Box<dyn View<Event>>) -> Box<dyn View<Event>> {
        seats
    }

    /// The replacement of the view of visits.
    fn visits(visits: Box<dyn View<Event>>) -> Box<dyn View<Event>> {
        visits
    }
}

/// The theatre in another release.
pub(crate) struct Amended<R>(PhantomData<fn() -> R>);

impl<R: Release> Domain for Amended<R> {
    type Command = Command;
    type Event = Event;
    type State = Seat;
    type Refusal = Refusal;

    const SNAPSHOT_FORMAT: u32 = Theatre::SNAPSHOT_FORMAT;

    fn streams(command: &Command) -> Vec<StreamId> {
        Theatre::streams(command)
    }

    fn decide(states: &[Seat], command: &Command) -> Result<Vec<(usize, Event)>, Refusal> {
        Theatre::decide(states, command)
    }

    fn evolve(state: &mut Seat, event: &Event) {
        Theatre::evolve(state, event);
    }

    fn decode_command(command_type: &str, payload: &[u8]) -> Result<Self::Command, DecodeError> {
        Theatre::decode_command(command_type, payload)
    }

    fn encode_event(event: &Event) -> (Arc<str>, Bytes) {
        Theatre::encode_event(event)
    }

    fn decode_event(event_type: &str, payload: &[u8]) -> Result<Event, DecodeError> {
        R::decode_event(event_type, payload)
    }

    fn encode_refusal(refusal: &Self::Refusal) -> Bytes {
        Theatre::encode_refusal(refusal)
    }

    fn decode_refusal(refusal: &[u8]) -> Result<Self::Refusal, DecodeError> {
        Theatre::decode_refusal(refusal)
    }

    fn encode_snapshot(state: &Seat) -> Bytes {
        Theatre::encode_snapshot(state)
    }

    fn decode_snapshot(snapshot: &[u8]) -> Result<Seat, DecodeError> {
        Theatre::decode_snapshot(snapshot)
    }

    fn views() -> Vec<Box<dyn View<Event>>> {
        let amend = |view: Box<dyn View<Event>>| match view.id() {
            SEATS => R::seats(view),
            VISITS => R::visits(view),
            _ => view,
        };
        Theatre::views().into_iter().map(amend).collect()
    }
}

/// Decodes events that the first release could not: a guest called [`LATECOMER`] took the seat.
pub(crate) struct ReadsUnknown;

pub(crate) const LATECOMER: &str = "latecomer";

impl Release for ReadsUnknown {
    fn decode_event(event_type: &str, payload: &[u8]) -> Result<Event, DecodeError> {
        Theatre::decode_event(event_type, payload).or_else(|_| Ok(Event::reserved(LATECOMER)))
    }
}

/// Folds the guest that the first release could not, as [`LATECOMER`].
pub(crate) struct FoldsUnfoldable;

impl Release for FoldsUnfoldable {
    fn seats(seats: Box<dyn View<Event>>) -> Box<dyn View<Event>> {
        Box::new(AmendedSeats { seats, id: SEATS })
    }
}

pub(crate) const SEATS_NEXT: ViewId = ViewId { name: "seats", generation: 2 };

/// Fills a new generation of the view of seats beside the old one.
pub(crate) struct NextGeneration;

impl Release for NextGeneration {
    fn seats(seats: Box<dyn View<Event>>) -> Box<dyn View<Event>> {
        Box::new(AmendedSeats { seats, id: SEATS_NEXT })
    }
}

struct AmendedSeats {
    seats: Box<dyn View<Event>>,
    id: ViewId,
}

impl View<Event> for AmendedSeats {
    fn id(&self) -> ViewId {
        self.id
    }

    fn scope(&self) -> Scope {
        self.seats.scope()
    }

    fn key(&self, event: DecodedEvent<'_, Event>) -> Option<RowKey> {
        self.seats.key(event)
    }

    fn fold(&self, row: Option<&[u8]>, event: DecodedEvent<'_, Event>) -> Result<Option<Bytes>, FoldError> {
        if event.event.guest() == UNFOLDABLE {
            let event = DecodedEvent { record: event.record, event: &Event::reserved(LATECOMER) };
            return self.seats.fold(row, event);
        }
        self.seats.fold(row, event)
    }
}

/// Says of the view of visits that each of its rows is made of one event, and folds the guest that cannot be folded.
pub(crate) struct WritesVisitsOnce;

impl Release for WritesVisitsOnce {
    fn seats(seats: Box<dyn View<Event>>) -> Box<dyn View<Event>> {
        FoldsUnfoldable::seats(seats)
    }

    fn visits(visits: Box<dyn View<Event>>) -> Box<dyn View<Event>> {
        Box::new(VisitsWrittenOnce { visits, is_unfoldable: false })
    }
}

/// The same, before the guest could be folded, in the view of visits.
pub(crate) struct WritesVisitsOnceUnlessUnfoldable;

impl Release for WritesVisitsOnceUnlessUnfoldable {
    fn visits(visits: Box<dyn View<Event>>) -> Box<dyn View<Event>> {
        Box::new(VisitsWrittenOnce { visits, is_unfoldable: true })
    }
}

struct VisitsWrittenOnce {
    visits: Box<dyn View<Event>>,
    is_unfoldable: bool,
}

impl View<Event> for VisitsWrittenOnce {
    fn id(&self) -> ViewId {
        self.visits.id()
    }

    fn scope(&self) -> Scope {
        self.visits.scope()
    }

    fn has_one_event_per_row(&self) -> bool {
        true
    }

    fn key(&self, event: DecodedEvent<'_, Event>) -> Option<RowKey> {
        self.visits.key(event)
    }

    fn fold(&self, row: Option<&[u8]>, event: DecodedEvent<'_, Event>) -> Result<Option<Bytes>, FoldError> {
        if self.is_unfoldable && event.event.guest() == UNFOLDABLE {
            let event_type = event.record.event_type.to_string();
            return Err(FoldError { view: self.id(), event_type, reason: "this guest cannot be folded".into() });
        }
        self.visits.fold(row, event)
    }
}
