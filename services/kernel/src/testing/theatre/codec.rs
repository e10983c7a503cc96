//! Encoding of the theatre's events, refusals and snapshots. Hand-written, because the kernel does not depend on
//! protobuf.

use std::{str, sync::Arc};

use bytes::{BufMut, Bytes, BytesMut};

use super::rules::{Command, Event, Refusal, Seat};
use crate::{domain::DecodeError, vocabulary::StreamId};

const RESERVE: &str = "theatre.command.v1.ReserveSeat";
const RELEASE: &str = "theatre.command.v1.ReleaseSeat";
const SWAP: &str = "theatre.command.v1.SwapSeats";
const RESERVED: &str = "theatre.event.v1.SeatReserved";
const RELEASED: &str = "theatre.event.v1.SeatReleased";
const SWAPPED: &str = "theatre.event.v1.SeatSwapped";
const REFUSAL: &str = "theatre refusal";
const SNAPSHOT: &str = "theatre snapshot";

/// Encodes a command for the queue: names are separated by a line feed.
pub(super) fn encode_command(command: &Command) -> (&'static str, Bytes) {
    let names = |first: &StreamId, second: &str| Bytes::from(format!("{first}\n{second}"));
    match command {
        Command::Reserve { seat, guest } => (RESERVE, names(seat, guest)),
        Command::Release { seat } => (RELEASE, names(seat, "")),
        Command::Swap { seat_a, seat_b } => (SWAP, names(seat_a, seat_b.as_str())),
    }
}

pub(super) fn decode_command(command_type: &str, payload: &[u8]) -> Result<Command, DecodeError> {
    let text = str::from_utf8(payload).map_err(|error| DecodeError::new(command_type, error))?;
    let (first, second) = text.split_once('\n').ok_or_else(|| DecodeError::new(command_type, "no line feed"))?;
    let stream = |name| StreamId::new(name).map_err(|error| DecodeError::new(command_type, error));
    match command_type {
        RESERVE => Ok(Command::Reserve { seat: stream(first)?, guest: second.into() }),
        RELEASE => Ok(Command::Release { seat: stream(first)? }),
        SWAP => Ok(Command::Swap { seat_a: stream(first)?, seat_b: stream(second)? }),
        _ => Err(DecodeError::new(command_type, "unknown command type")),
    }
}

pub(super) fn encode_event(event: &Event) -> (Arc<str>, Bytes) {
    let event_type = match event {
        Event::SeatReserved { .. } => RESERVED,
        Event::SeatReleased { .. } => RELEASED,
        Event::SeatSwapped { .. } => SWAPPED,
    };
    (event_type.into(), Bytes::copy_from_slice(event.guest().as_bytes()))
}

pub(super) fn decode_event(event_type: &str, payload: &[u8]) -> Result<Event, DecodeError> {
    let guest = || guest(event_type, payload);
    match event_type {
        RESERVED => Ok(Event::SeatReserved { guest: guest()? }),
        RELEASED => Ok(Event::SeatReleased { guest: guest()? }),
        SWAPPED => Ok(Event::SeatSwapped { guest: guest()? }),
        _ => Err(DecodeError::new(event_type, "unknown event type")),
    }
}

pub(super) fn encode_refusal(refusal: &Refusal) -> Bytes {
    match refusal {
        Refusal::SeatTaken(guest) => [b"t", guest.as_bytes()].concat().into(),
        Refusal::SeatFree => Bytes::from_static(b"f"),
        Refusal::SameSeat => Bytes::from_static(b"s"),
        Refusal::GuestName => Bytes::from_static(b"g"),
    }
}

pub(super) fn decode_refusal(refusal: &[u8]) -> Result<Refusal, DecodeError> {
    match refusal {
        [b't', name @ ..] => guest(REFUSAL, name).map(Refusal::SeatTaken),
        b"f" => Ok(Refusal::SeatFree),
        b"s" => Ok(Refusal::SameSeat),
        b"g" => Ok(Refusal::GuestName),
        _ => Err(DecodeError::new(REFUSAL, "unknown refusal")),
    }
}

pub(super) fn encode_snapshot(state: &Seat) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u32(state.guests_count);
    // A guest's name is never empty, so an empty name means that the seat is free.
    bytes.put_slice(state.guest.as_deref().unwrap_or_default().as_bytes());
    bytes.freeze()
}

pub(super) fn decode_snapshot(snapshot: &[u8]) -> Result<Seat, DecodeError> {
    let (count, name) = snapshot.split_first_chunk::<4>().ok_or_else(|| DecodeError::new(SNAPSHOT, "too short"))?;
    let guest = if name.is_empty() { None } else { Some(guest(SNAPSHOT, name)?) };
    Ok(Seat { guest, guests_count: u32::from_be_bytes(*count) })
}

fn guest(what: &str, name: &[u8]) -> Result<Arc<str>, DecodeError> {
    if name.is_empty() {
        return Err(DecodeError::new(what, "the guest is missing"));
    }
    str::from_utf8(name).map(Arc::from).map_err(|error| DecodeError::new(what, error))
}
