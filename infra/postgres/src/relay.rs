//! The relay's lease and cursor: one row.

use std::time::Duration;

use diptych_kernel::{
    Position,
    ports::{CursorOutcome, EventStore, Fence, LeaseOutcome, PortError, PortResult, RelayCursor, RelayState},
};

use crate::{
    PostgresEventStore,
    wire::{Row, Trouble, garbled},
};

const ACQUIRE: &str = include_str!("../queries/relay/acquire.sql");
const MOVE_CURSOR: &str = include_str!("../queries/relay/move_cursor.sql");
const RELEASE: &str = include_str!("../queries/relay/release.sql");

/// How often the lease is asked for again where it was free when looked at and taken when reached for.
const ATTEMPTS_MAX: usize = 8;

impl RelayState for PostgresEventStore {
    async fn acquire_lease(&self, owner: &str, duration: Duration) -> PortResult<LeaseOutcome> {
        for _ in 0..ATTEMPTS_MAX {
            if let Some(outcome) = self.try_acquire(owner, duration).await.map_err(Trouble::of_write)? {
                return Ok(outcome);
            }
        }
        Err(PortError::not_done(format!("the lease changed hands {ATTEMPTS_MAX} times while it was asked for")))
    }

    async fn move_cursor(&self, fence: Fence, cursor: &RelayCursor, duration: Duration) -> PortResult<CursorOutcome> {
        let (own, partitions) = (cursor.last_positions.len(), self.partitions().count());
        if own != usize::from(partitions) {
            return Err(PortError::operator(format!("a cursor has {own} partitions, the database {partitions}")));
        }
        // A fence that was never given out.
        let Ok(fence) = i64::try_from(fence.0) else { return Ok(CursorOutcome::Fenced) };
        let last_positions: Vec<i64> = cursor.last_positions.iter().map(|position| position.as_i64()).collect();
        let moved = async {
            let mut session = self.writers().session().await?;
            let published_up_to = cursor.published_up_to.as_i64();
            session.write(MOVE_CURSOR, &[&fence, &published_up_to, &last_positions, &duration.as_secs_f64()]).await
        };
        let rows = moved.await.map_err(Trouble::of_write)?;
        Ok(if rows.is_empty() { CursorOutcome::Fenced } else { CursorOutcome::Moved })
    }

    async fn release_lease(&self, fence: Fence) -> PortResult<()> {
        let Ok(fence) = i64::try_from(fence.0) else { return Ok(()) };
        let released = async { self.writers().session().await?.write(RELEASE, &[&fence]).await };
        released.await.map_err(Trouble::of_write)?;
        Ok(())
    }
}

impl PostgresEventStore {
    /// `None` where it was free when looked at and taken when reached for.
    async fn try_acquire(&self, owner: &str, duration: Duration) -> Result<Option<LeaseOutcome>, Trouble> {
        let rows = self.writers().session().await?.write(ACQUIRE, &[&owner, &duration.as_secs_f64()]).await?;
        let row = Row::first(&rows)?;
        if row.get("is_held")? {
            let fence: i64 = row.get("fence")?;
            return Ok(Some(LeaseOutcome::Held { fence: Fence(fence.unsigned_abs()), cursor: self.cursor(row)? }));
        }
        if row.get("was_free")? {
            return Ok(None);
        }
        Ok(Some(LeaseOutcome::HeldByOther { owner: row.get("owner")?, expires_at: row.time("expires_at")? }))
    }

    fn cursor(&self, row: Row<'_>) -> Result<RelayCursor, Trouble> {
        let mut cursor = RelayCursor::start(self.partitions());
        cursor.published_up_to = row.position("published_up_to")?;
        if let Some(stored) = row.get::<Option<Vec<i64>>>("last_positions")? {
            if stored.len() != cursor.last_positions.len() {
                let message = format!("the write database holds a cursor with {} partitions", stored.len());
                return Err(PortError::operator(message).into());
            }
            cursor.last_positions = stored
                .into_iter()
                .map(|number| Position::from_i64(number).map_err(garbled))
                .collect::<Result<_, _>>()?;
        }
        Ok(cursor)
    }
}
