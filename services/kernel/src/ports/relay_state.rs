//! Relay state: the leader's lease and the cursor.

use std::{future::Future, time::Duration};

use super::PortResult;
use crate::vocabulary::{Partitions, Position, Timestamp};

/// Fencing token of a leadership: larger than that of every earlier leadership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(pub u64);

/// Position up to which events are on the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayCursor {
    /// Every event up to this position is on the log and acknowledged.
    pub published_up_to: Position,
    /// For each partition, the position of the last event published to it, or [`Position::START`]. Distinguishes a
    /// truncated log from an idle partition.
    pub last_positions: Vec<Position>,
}

impl RelayCursor {
    /// Returns the cursor of a relay that has published nothing.
    #[must_use]
    pub fn start(partitions: Partitions) -> Self {
        Self {
            published_up_to: Position::START,
            last_positions: vec![Position::START; usize::from(partitions.count())],
        }
    }
}

/// Result of requesting the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseOutcome {
    /// The caller leads until the requested duration has passed. It may request the lease again to extend it.
    Held {
        /// Fencing token of this leadership. It stays the same while the lease is extended without interruption.
        fence: Fence,
        /// The stored cursor.
        cursor: RelayCursor,
    },
    /// Another owner leads.
    HeldByOther {
        /// The owner.
        owner: String,
        /// Time at which its lease expires, unless it is extended.
        expires_at: Timestamp,
    },
}

/// Result of moving the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CursorOutcome {
    /// The cursor was moved.
    Moved,
    /// The caller is no longer the leader; nothing changed, and it must stop.
    Fenced,
    /// The database lacks an event that was read through this handle: another server answers now, on which events were
    /// lost. Nothing changed; the caller compares the log with the database again.
    EventsLost,
}

/// The relay's lease and cursor, stored in the write database.
///
/// Contract:
///
/// - At most one owner holds the lease at a time. A lease that is not extended expires, by the database's clock.
/// - Every new leadership has a larger fence, and only the newest one can move the cursor. The lease is a row and not a
///   session lock, so a process that has crashed or hangs delays its successor by the lease duration at most.
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

    /// Releases the lease, so that another relay need not wait for it to expire. Does nothing if the lease is not held.
    fn release_lease(&self, fence: Fence) -> impl Future<Output = PortResult<()>> + Send;
}
