//! Lease and cursor of the queue of commands, stored in one row.

use std::time::Duration;

use diptych_kernel::ports::{CommandQueueState, Fence, Offset, PortResult, QueueLease};

use crate::{
    driver::{SqlRow, StatementError},
    events::PostgresEventStore,
};

const ACQUIRE: &str = include_str!("../queries/command_queue/acquire.sql");
const MOVE_CURSOR: &str = include_str!("../queries/command_queue/move_cursor.sql");
const RELEASE: &str = include_str!("../queries/command_queue/release.sql");

impl CommandQueueState for PostgresEventStore {
    async fn acquire_queue_lease(&self, owner: &str, duration: Duration) -> PortResult<QueueLease> {
        let acquired = async {
            let rows = self.writers().session().await?.write(ACQUIRE, &[&owner, &duration.as_secs_f64()]).await?;
            let row = SqlRow::first(&rows)?;
            let (is_held, fence): (bool, i64) = (row.get("is_held")?, row.get("fence")?);
            let done_before: i64 = row.get("done_before")?;
            Ok(QueueLease {
                fence: is_held.then_some(Fence(fence.unsigned_abs())),
                done_before: Offset(done_before.unsigned_abs()),
            })
        };
        acquired.await.map_err(StatementError::into_write_error)
    }

    async fn move_queue_cursor(&self, fence: Fence, done_before: Offset, duration: Duration) -> PortResult<bool> {
        // Fences and offsets are positive 64-bit integers, so others were never issued.
        let (Ok(fence), Ok(done_before)) = (i64::try_from(fence.0), i64::try_from(done_before.0)) else {
            return Ok(false);
        };
        let moved = async {
            let seconds = duration.as_secs_f64();
            self.writers().session().await?.write(MOVE_CURSOR, &[&fence, &done_before, &seconds]).await
        };
        Ok(!moved.await.map_err(StatementError::into_write_error)?.is_empty())
    }

    async fn release_queue_lease(&self, fence: Fence) -> PortResult<()> {
        let Ok(fence) = i64::try_from(fence.0) else { return Ok(()) };
        let released = async { self.writers().session().await?.write(RELEASE, &[&fence]).await };
        released.await.map_err(StatementError::into_write_error)?;
        Ok(())
    }
}
