//! Sample domain for tests: the seats of a theatre. Every seat is a stream; guests reserve, release and swap seats.
//!
//! With it, the tests of other crates need not depend on the domain that ships. It covers every feature of a domain:
//! commands over one and two streams, several events of one command in one stream, refusals, snapshots, views of both
//! scopes, rows that are deleted, and two kinds of bad events: [`unknown_event`] cannot be decoded, and the events of
//! [`UNFOLDABLE`] cannot be folded into [`SEATS`].

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

/// Guest whose events the view [`SEATS`] cannot fold: the seat is parked in that view only.
pub const UNFOLDABLE: &str = "unfoldable";

/// The theatre domain.
#[derive(Debug)]
pub struct Theatre;

/// Returns the stream of a seat, such as `seat-A1` for `A1`.
///
/// # Panics
/// If the name is not printable ASCII.
#[must_use]
#[track_caller]
pub fn seat(name: &str) -> StreamId {
    StreamId::new(&format!("seat-{name}")).unwrap()
}

/// Creates an event that the domain cannot decode: its stream is parked in every view.
#[must_use]
pub fn unknown_event(stream_id: StreamId, version: Version) -> NewEvent {
    let (event_type, payload) = ("theatre.event.v1.Unknown".into(), Bytes::from_static(b"?"));
    NewEvent { stream_id, version, event_type, payload }
}

/// Creates an event as the command service stores it.
#[must_use]
pub fn new_event(stream_id: StreamId, version: Version, event: &Event) -> NewEvent {
    let (event_type, payload) = Theatre::encode_event(event);
    NewEvent { stream_id, version, event_type, payload }
}

impl Command {
    /// Returns the fingerprint of the command's content.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of("theatre", format!("{self:?}").as_bytes())
    }
}

impl Command {
    /// Encodes the command as [`Domain::decode_command`] reads it: its kind and its content.
    #[must_use]
    pub fn encode(&self) -> (&'static str, Bytes) {
        codec::encode_command(self)
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

    fn decode_command(command_type: &str, payload: &[u8]) -> Result<Command, DecodeError> {
        codec::decode_command(command_type, payload)
    }

    fn encode_event(event: &Event) -> (Arc<str>, Bytes) {
        codec::encode_event(event)
    }

    fn decode_event(event_type: &str, payload: &[u8]) -> Result<Event, DecodeError> {
        codec::decode_event(event_type, payload)
    }

    fn encode_refusal(refusal: &Refusal) -> Bytes {
        codec::encode_refusal(refusal)
    }

    fn decode_refusal(refusal: &[u8]) -> Result<Refusal, DecodeError> {
        codec::decode_refusal(refusal)
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
