//! Forgetting old requests.

use diptych_kernel::{
    Timestamp,
    ports::{PortError, PortResult},
};
use tokio_postgres::error::SqlState;

use super::Inner;
use crate::wire::{Row, Session, Time, Trouble, state_of};

const MARK_FORGOTTEN: &str = include_str!("../../queries/requests/mark_forgotten.sql");
const DELETE_FORGOTTEN: &str = include_str!("../../queries/requests/delete_forgotten.sql");
const BEGIN_SHELF: &str = include_str!("../../queries/requests/begin_shelf.sql");
const DROP_SHELF: &str = include_str!("../../queries/requests/drop_shelf.sql");

/// Forgets requests, and looks after the shelves.
///
/// On older shelves it moves one mark, at once and whatever their number, and a shelf goes whole when all of it is below the mark: such
/// requests count up to `limit`. On the newest shelf, where only a short memory reaches, rows are deleted, up to `limit`.
pub(super) async fn forget(inner: &Inner, recorded_before: Timestamp, limit: usize) -> PortResult<usize> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut session = inner.writers.session().await.map_err(Trouble::of_write)?;
    let marked = count(&mut session, MARK_FORGOTTEN, recorded_before, limit).await.map_err(Trouble::of_write)?;
    let deleted = if marked < limit {
        delete(&mut session, recorded_before, limit - marked).await.map_err(Trouble::of_write)?
    } else {
        0
    };
    drop(session);
    look_after_shelves(inner).await.map_err(Trouble::of_write)?;
    usize::try_from(marked.saturating_add(deleted))
        .map_err(|_| PortError::unknown("the number of forgotten requests does not fit"))
}

async fn count(session: &mut Session, statement: &'static str, before: Timestamp, limit: i64) -> Result<i64, Trouble> {
    let rows = session.write(statement, &[&Time(before), &limit]).await?;
    Row::first(&rows)?.get("count")
}

async fn delete(session: &mut Session, before: Timestamp, limit: i64) -> Result<i64, Trouble> {
    count(session, DELETE_FORGOTTEN, before, limit).await
}

/// Begins a new shelf where it is time to, and drops one that is forgotten. Both need a lock for a moment, and are put off where they
/// do not get it soon: this is called again.
async fn look_after_shelves(inner: &Inner) -> Result<(), Trouble> {
    let age_seconds = inner.request_shelf_age.as_secs_f64();
    let mut session = inner.writers.session().await?;
    let begun = done(session.write(BEGIN_SHELF, &[&age_seconds]).await)?;
    let dropped = done(session.write(DROP_SHELF, &[]).await)?;
    if begun || dropped {
        tracing::info!(begun, dropped, "looked after the shelves of request ids");
    }
    Ok(())
}

/// Whether it was done; not where somebody else had the lock.
fn done(answer: Result<Vec<tokio_postgres::Row>, Trouble>) -> Result<bool, Trouble> {
    match answer {
        Ok(rows) => rows.first().map_or(Ok(false), |row| Row(row).get("done")),
        Err(Trouble::Statement(error)) if state_of(&error) == Some(&SqlState::LOCK_NOT_AVAILABLE) => Ok(false),
        Err(trouble) => Err(trouble),
    }
}
