//! The rules of the theatre.

use std::sync::Arc;

use crate::vocabulary::StreamId;

/// How long the name of a guest may be: it is the partition key of a row.
const GUEST_BYTES_MAX: usize = 100;

/// What a guest asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// To have a free seat.
    Reserve {
        /// The seat.
        seat: StreamId,
        /// The guest, 1 to 100 bytes.
        guest: Arc<str>,
    },
    /// To give a seat back.
    Release {
        /// The seat.
        seat: StreamId,
    },
    /// That the guests of two taken seats change places.
    Swap {
        /// One seat.
        seat_a: StreamId,
        /// The other.
        seat_b: StreamId,
    },
}

impl Command {
    /// [`Command::Reserve`] by the names of seat and guest.
    #[must_use]
    #[track_caller]
    pub fn reserve(seat: &str, guest: &str) -> Self {
        Self::Reserve { seat: super::seat(seat), guest: guest.into() }
    }

    /// [`Command::Release`] by the name of the seat.
    #[must_use]
    #[track_caller]
    pub fn release(seat: &str) -> Self {
        Self::Release { seat: super::seat(seat) }
    }

    /// [`Command::Swap`] by the names of the seats.
    #[must_use]
    #[track_caller]
    pub fn swap(seat_a: &str, seat_b: &str) -> Self {
        Self::Swap { seat_a: super::seat(seat_a), seat_b: super::seat(seat_b) }
    }
}

/// What happened to a seat.
#[allow(clippy::enum_variant_names, reason = "named as their messages are")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A guest has it.
    SeatReserved {
        /// Who.
        guest: Arc<str>,
    },
    /// The guest has it no longer.
    SeatReleased {
        /// Who.
        guest: Arc<str>,
    },
    /// A guest got it in exchange for another one. Comes after the [`Event::SeatReleased`] of whoever had it.
    SeatSwapped {
        /// Who.
        guest: Arc<str>,
    },
}

impl Event {
    /// [`Event::SeatReserved`] by the name of the guest.
    #[must_use]
    pub fn reserved(guest: &str) -> Self {
        Self::SeatReserved { guest: guest.into() }
    }

    /// [`Event::SeatReleased`] by the name of the guest.
    #[must_use]
    pub fn released(guest: &str) -> Self {
        Self::SeatReleased { guest: guest.into() }
    }

    /// [`Event::SeatSwapped`] by the name of the guest.
    #[must_use]
    pub fn swapped(guest: &str) -> Self {
        Self::SeatSwapped { guest: guest.into() }
    }

    /// The guest of whom it tells.
    #[must_use]
    pub fn guest(&self) -> &str {
        match self {
            Self::SeatReserved { guest } | Self::SeatReleased { guest } | Self::SeatSwapped { guest } => guest,
        }
    }
}

/// A seat as decisions see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seat {
    /// Who has it.
    pub guest: Option<Arc<str>>,
    /// How many guests have had it.
    pub guests_count: u32,
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Somebody has the seat.
    #[error("the seat is taken by {0}")]
    SeatTaken(Arc<str>),
    /// Nobody has the seat.
    #[error("the seat is free")]
    SeatFree,
    /// A seat cannot be swapped with itself.
    #[error("the two seats are the same")]
    SameSeat,
    /// The name of the guest is empty or too long.
    #[error("the name of a guest has 1 to {GUEST_BYTES_MAX} bytes")]
    GuestName,
}

pub(super) fn streams(command: &Command) -> Vec<StreamId> {
    match command {
        Command::Reserve { seat, .. } | Command::Release { seat } => vec![seat.clone()],
        Command::Swap { seat_a, seat_b } if seat_a == seat_b => vec![seat_a.clone()],
        Command::Swap { seat_a, seat_b } => vec![seat_a.clone(), seat_b.clone()],
    }
}

pub(super) fn decide(states: &[Seat], command: &Command) -> Result<Vec<(usize, Event)>, Refusal> {
    let guest_of = |index: usize| states.get(index).and_then(|seat| seat.guest.clone());
    match command {
        Command::Reserve { guest, .. } => {
            if guest.is_empty() || guest.len() > GUEST_BYTES_MAX {
                return Err(Refusal::GuestName);
            }
            match guest_of(0) {
                Some(taken_by) => Err(Refusal::SeatTaken(taken_by)),
                None => Ok(vec![(0, Event::SeatReserved { guest: guest.clone() })]),
            }
        }
        Command::Release { .. } => {
            let guest = guest_of(0).ok_or(Refusal::SeatFree)?;
            Ok(vec![(0, Event::SeatReleased { guest })])
        }
        Command::Swap { seat_a, seat_b } if seat_a == seat_b => Err(Refusal::SameSeat),
        Command::Swap { .. } => {
            let (guest_a, guest_b) = guest_of(0).zip(guest_of(1)).ok_or(Refusal::SeatFree)?;
            Ok(vec![
                (0, Event::SeatReleased { guest: guest_a.clone() }),
                (1, Event::SeatReleased { guest: guest_b.clone() }),
                (0, Event::SeatSwapped { guest: guest_b }),
                (1, Event::SeatSwapped { guest: guest_a }),
            ])
        }
    }
}

pub(super) fn evolve(state: &mut Seat, event: &Event) {
    match event {
        Event::SeatReserved { guest } | Event::SeatSwapped { guest } => {
            state.guest = Some(guest.clone());
            state.guests_count = state.guests_count.saturating_add(1);
        }
        Event::SeatReleased { .. } => state.guest = None,
    }
}
