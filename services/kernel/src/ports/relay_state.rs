//! Who relays, and how far.

use std::{future::Future, time::Duration};

use super::PortResult;
use crate::vocabulary::{Partitions, Position, Timestamp};

/// The number of a leadership: larger than that of every leader before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(pub u64);

/// How far events are on the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayCursor {
    /// Every event up to here is on the log, acknowledged.
    pub published_up_to: Position,
    /// For each partition, the position of the last event put there, or [`Position::START`]. Tells a lost end of the log from
    /// a quiet partition.
    pub last_positions: Vec<Position>,
}

impl RelayCursor {
    /// Nothing is on the log.
    #[must_use]
    pub fn start(partitions: Partitions) -> Self {
        Self {
            published_up_to: Position::START,
            last_positions: vec![Position::START; usize::from(partitions.count())],
        }
    }
}

/// The answer to asking for the lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseOutcome {
    /// The caller leads until the time given has gone by, and may ask again to extend it.
    Held {
        /// The number of this leadership; the same while it is extended without a break.
        fence: Fence,
        /// Where the work stands.
        cursor: RelayCursor,
    },
    /// Somebody else leads.
    HeldByOther {
        /// Who.
        owner: String,
        /// Until when, unless extended.
        expires_at: Timestamp,
    },
}

/// The answer to moving the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CursorOutcome {
    /// It moved.
    Moved,
    /// The caller no longer leads; nothing changed, and it must stop.
    Fenced,
}

/// The relay's lease and cursor, in the write database.
///
/// - At most one owner holds the lease at a time; a lease that is not extended ends by itself, by the database's clock.
/// - Every new leadership has a larger fence, and a cursor is only moved by the newest one. This is a row, not a session lock, so a
///   process that died or hangs holds nobody up for longer than the lease.
/// - The cursor never goes back.
pub trait RelayState: Send + Sync + 'static {
    /// Takes the lease for `duration`, or extends it if `owner` holds it.
    fn acquire_lease(&self, owner: &str, duration: Duration) -> impl Future<Output = PortResult<LeaseOutcome>> + Send;

    /// Moves the cursor and extends the lease by `duration`.
    fn move_cursor(
        &self,
        fence: Fence,
        cursor: &RelayCursor,
        duration: Duration,
    ) -> impl Future<Output = PortResult<CursorOutcome>> + Send;

    /// Gives the lease back, so that another relay need not wait for its end. Does nothing where it is not held.
    fn release_lease(&self, fence: Fence) -> impl Future<Output = PortResult<()>> + Send;
}
