//! The relay's lease and cursor, stored in one row.

use std::time::Duration;

use diptych_kernel::{
    Position,
    ports::{CursorOutcome, EventStore, Fence, LeaseOutcome, PortError, PortResult, RelayCursor, RelayState},
};

use tokio_postgres::types::ToSql;

use crate::{
    driver::{SqlRow, StatementError, Uuid, corrupt_data},
    events::PostgresEventStore,
};

const ACQUIRE: &str = include_str!("../queries/relay/acquire.sql");
const MOVE_CURSOR: &str = include_str!("../queries/relay/move_cursor.sql");
const RELEASE: &str = include_str!("../queries/relay/release.sql");

/// Maximum number of attempts while the lease is free at the start of the statement, and taken by another owner before
/// the update.
const ATTEMPTS_MAX: usize = 8;

impl RelayState for PostgresEventStore {
    async fn acquire_lease(&self, owner: &str, duration: Duration) -> PortResult<LeaseOutcome> {
        for _ in 0..ATTEMPTS_MAX {
            if let Some(outcome) = self.try_acquire(owner, duration).await.map_err(StatementError::into_write_error)? {
                return Ok(outcome);
            }
        }
        Err(PortError::not_done(format!(
            "the lease was taken by other owners {ATTEMPTS_MAX} times while it was requested"
        )))
    }

    async fn move_cursor(&self, fence: Fence, cursor: &RelayCursor, duration: Duration) -> PortResult<CursorOutcome> {
        let (given, partitions) = (cursor.last_positions.len(), self.partitions().count());
        if given != usize::from(partitions) {
            return Err(PortError::operator(format!(
                "the cursor has {given} partitions, but the write database has {partitions}"
            )));
        }
        // Fences are positive 64-bit integers, so this one was never issued.
        let Ok(fence) = i64::try_from(fence.0) else { return Ok(CursorOutcome::Fenced) };
        let last_positions: Vec<i64> = cursor.last_positions.iter().map(|position| position.as_i64()).collect();
        let moved = async {
            let mut session = self.writers().session().await?;
            let published_up_to = cursor.published_up_to.as_i64();
            let confirmed = self.known_history().unconfirmed();
            let read = confirmed.map(|event| (event.position.as_i64(), Uuid(event.request_id)));
            let (read_position, read_request) = read.unzip();
            let params: [&(dyn ToSql + Sync); 6] =
                [&fence, &published_up_to, &last_positions, &duration.as_secs_f64(), &read_position, &read_request];
            let rows = session.write(MOVE_CURSOR, &params).await?;
            let row = SqlRow::first(&rows)?;
            if !row.get::<bool>("has_read_event")? {
                self.known_history().forget_unconfirmed();
                return Ok(CursorOutcome::EventsLost);
            }
            self.known_history().record_all(confirmed);
            Ok(if row.get("is_moved")? { CursorOutcome::Moved } else { CursorOutcome::Fenced })
        };
        moved.await.map_err(StatementError::into_write_error)
    }

    async fn release_lease(&self, fence: Fence) -> PortResult<()> {
        let Ok(fence) = i64::try_from(fence.0) else { return Ok(()) };
        let released = async { self.writers().session().await?.write(RELEASE, &[&fence]).await };
        released.await.map_err(StatementError::into_write_error)?;
        Ok(())
    }
}

impl PostgresEventStore {
    /// Returns `None` if the lease was free when the statement began, and taken before the update.
    async fn try_acquire(&self, owner: &str, duration: Duration) -> Result<Option<LeaseOutcome>, StatementError> {
        let rows = self.writers().session().await?.write(ACQUIRE, &[&owner, &duration.as_secs_f64()]).await?;
        let row = SqlRow::first(&rows)?;
        if row.get("is_held")? {
            let fence: i64 = row.get("fence")?;
            return Ok(Some(LeaseOutcome::Held { fence: Fence(fence.unsigned_abs()), cursor: self.cursor(row)? }));
        }
        if row.get("was_free")? {
            return Ok(None);
        }
        Ok(Some(LeaseOutcome::HeldByOther { owner: row.get("owner")?, expires_at: row.time("expires_at")? }))
    }

    fn cursor(&self, row: SqlRow<'_>) -> Result<RelayCursor, StatementError> {
        let mut cursor = RelayCursor::start(self.partitions());
        cursor.published_up_to = row.position("published_up_to")?;
        if let Some(stored) = row.get::<Option<Vec<i64>>>("last_positions")? {
            if stored.len() != cursor.last_positions.len() {
                let message = format!("the write database holds a relay cursor with {} partitions", stored.len());
                return Err(PortError::operator(message).into());
            }
            cursor.last_positions = stored
                .into_iter()
                .map(|number| Position::from_i64(number).map_err(corrupt_data))
                .collect::<Result<_, _>>()?;
        }
        Ok(cursor)
    }
}
