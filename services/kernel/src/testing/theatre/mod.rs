//! A tiny domain: the seats of a theatre. Every seat is a stream; guests reserve seats, give them back, and swap them.
//!
//! It exists so that no part of the product needs to know the domain that ships. It has what a domain can have: commands over one
//! and two streams, several events of one command in one stream, refusals, snapshots, views of both scopes, rows that are
//! deleted, and two ways of going wrong: [`unknown_event`] cannot be read, and [`UNFOLDABLE`] cannot be folded into [`SEATS`].

mod codec;
mod rows;
mod rules;
mod views;

use std::sync::Arc;

use bytes::Bytes;

pub use rows::{HouseRow, SeatRow, VisitRow};
pub use rules::{Command, Event, Refusal, Seat};
pub use views::{GUESTS, HOUSES, SEATS, VISITS, house_key};

use crate::{
    domain::{DecodeError, Domain, View},
    vocabulary::{Fingerprint, NewEvent, StreamId, Version},
};

/// The guest whose events the view [`SEATS`] cannot fold: parks the seat in that view and in no other.
pub const UNFOLDABLE: &str = "unfoldable";

/// The domain.
#[derive(Debug)]
pub struct Theatre;

/// The stream of a seat, such as `seat-A1` for `A1`.
///
/// # Panics
/// When the name is not printable ASCII.
#[must_use]
#[track_caller]
pub fn seat(name: &str) -> StreamId {
    StreamId::new(&format!("seat-{name}")).unwrap()
}

/// An event that the domain cannot read: parks its stream in every view.
#[must_use]
pub fn unknown_event(stream_id: StreamId, version: Version) -> NewEvent {
    let (event_type, payload) = ("theatre.event.v1.Unknown".into(), Bytes::from_static(b"?"));
    NewEvent { stream_id, version, event_type, payload }
}

/// An event as the command service would store it.
#[must_use]
pub fn new_event(stream_id: StreamId, version: Version, event: &Event) -> NewEvent {
    let (event_type, payload) = Theatre::encode_event(event);
    NewEvent { stream_id, version, event_type, payload }
}

impl Command {
    /// The content of the command in short: the same for the same command.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of("theatre", format!("{self:?}").as_bytes())
    }
}

impl Domain for Theatre {
    type Command = Command;
    type Event = Event;
    type State = Seat;
    type Refusal = Refusal;

    const SNAPSHOT_FORMAT: u32 = 1;

    fn streams(command: &Command) -> Vec<StreamId> {
        rules::streams(command)
    }

    fn decide(states: &[Seat], command: &Command) -> Result<Vec<(usize, Event)>, Refusal> {
        rules::decide(states, command)
    }

    fn evolve(state: &mut Seat, event: &Event) {
        rules::evolve(state, event);
    }

    fn encode_event(event: &Event) -> (Arc<str>, Bytes) {
        codec::encode_event(event)
    }

    fn decode_event(event_type: &str, payload: &[u8]) -> Result<Event, DecodeError> {
        codec::decode_event(event_type, payload)
    }

    fn encode_snapshot(state: &Seat) -> Bytes {
        codec::encode_snapshot(state)
    }

    fn decode_snapshot(snapshot: &[u8]) -> Result<Seat, DecodeError> {
        codec::decode_snapshot(snapshot)
    }

    fn views() -> Vec<Box<dyn View<Event>>> {
        views::all()
    }
}

#[cfg(test)]
mod tests;
