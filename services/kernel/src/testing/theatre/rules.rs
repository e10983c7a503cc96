//! Rules of the theatre.

use std::sync::Arc;

use crate::vocabulary::StreamId;

/// Largest length of a guest's name in bytes. The name is the partition key of a row.
const GUEST_BYTES_MAX: usize = 100;

/// Command of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Reserves a free seat.
    Reserve {
        /// The seat.
        seat: StreamId,
        /// The guest, 1 to 100 bytes.
        guest: Arc<str>,
    },
    /// Releases a taken seat.
    Release {
        /// The seat.
        seat: StreamId,
    },
    /// Swaps the guests of two taken seats.
    Swap {
        /// One seat.
        seat_a: StreamId,
        /// The other.
        seat_b: StreamId,
    },
}

impl Command {
    /// Creates a [`Command::Reserve`] from the names of seat and guest.
    #[must_use]
    #[track_caller]
    pub fn reserve(seat: &str, guest: &str) -> Self {
        Self::Reserve { seat: super::seat(seat), guest: guest.into() }
    }

    /// Creates a [`Command::Release`] from the name of the seat.
    #[must_use]
    #[track_caller]
    pub fn release(seat: &str) -> Self {
        Self::Release { seat: super::seat(seat) }
    }

    /// Creates a [`Command::Swap`] from the names of the seats.
    #[must_use]
    #[track_caller]
    pub fn swap(seat_a: &str, seat_b: &str) -> Self {
        Self::Swap { seat_a: super::seat(seat_a), seat_b: super::seat(seat_b) }
    }
}

/// Event of a seat.
#[allow(clippy::enum_variant_names, reason = "named as their messages are")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A guest reserved the seat.
    SeatReserved {
        /// The guest.
        guest: Arc<str>,
    },
    /// The guest released the seat.
    SeatReleased {
        /// The guest.
        guest: Arc<str>,
    },
    /// A guest got the seat in exchange for another one. Follows the [`Event::SeatReleased`] of the previous guest.
    SeatSwapped {
        /// The guest.
        guest: Arc<str>,
    },
}

impl Event {
    /// Creates an [`Event::SeatReserved`] from the name of the guest.
    #[must_use]
    pub fn reserved(guest: &str) -> Self {
        Self::SeatReserved { guest: guest.into() }
    }

    /// Creates an [`Event::SeatReleased`] from the name of the guest.
    #[must_use]
    pub fn released(guest: &str) -> Self {
        Self::SeatReleased { guest: guest.into() }
    }

    /// Creates an [`Event::SeatSwapped`] from the name of the guest.
    #[must_use]
    pub fn swapped(guest: &str) -> Self {
        Self::SeatSwapped { guest: guest.into() }
    }

    /// Returns the event's guest.
    #[must_use]
    pub fn guest(&self) -> &str {
        match self {
            Self::SeatReserved { guest } | Self::SeatReleased { guest } | Self::SeatSwapped { guest } => guest,
        }
    }
}

/// State of a seat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seat {
    /// The guest who holds the seat.
    pub guest: Option<Arc<str>>,
    /// Number of guests who have held the seat.
    pub guests_count: u32,
}

/// Reason for which a command is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A guest holds the seat.
    #[error("the seat is taken by {0}")]
    SeatTaken(Arc<str>),
    /// No guest holds the seat.
    #[error("the seat is free")]
    SeatFree,
    /// A seat cannot be swapped with itself.
    #[error("the two seats are the same")]
    SameSeat,
    /// The name of the guest is empty or too long.
    #[error("the guest's name must have 1 to {GUEST_BYTES_MAX} bytes")]
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
