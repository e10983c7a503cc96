//! Turns of processes that write to the same partitions.

use diptych_kernel::{
    Partition,
    ports::{PortResult, Turn},
};

use super::resources::StoreResources;
use crate::driver::{Session, StatementError};

const TAKE_TURN: &str = include_str!("../../queries/take_turn.sql");
const END_TURN: &str = include_str!("../../queries/end_turn.sql");

/// Waits for the turn. Its locks are those of a session, which is returned to its pool after the locks are released.
pub(super) async fn take_turn(resources: &StoreResources, partitions: &[Partition]) -> PortResult<Turn> {
    let mut numbers: Vec<i32> = partitions.iter().map(|partition| i32::from(partition.number())).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let mut session = resources.turns.session().await.map_err(StatementError::into_read_error)?;
    // If this future is dropped while it waits, the connection is closed, and the locks end with it.
    if let Err(error) = session.query(TAKE_TURN, &[&numbers]).await {
        end(session).await;
        return Err(error.into_read_error());
    }
    let runtime = tokio::runtime::Handle::current();
    Ok(Turn::new(move || {
        runtime.spawn(end(session));
    }))
}

/// Releases the locks. If that fails, the connection is closed, which releases them.
async fn end(mut session: Session) {
    if let Err(error) = session.query(END_TURN, &[]).await {
        let error = error.into_read_error();
        tracing::debug!(%error, "closing a connection whose turn could not be ended");
    }
}
