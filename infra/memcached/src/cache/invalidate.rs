//! Invalidation of keys.

use crate::{
    connection::{CacheCommand, CallError, Connection},
    key::Key,
};

/// Deletes keys of one connection, which also ends their leases.
pub(super) async fn invalidate(connection: &Connection, keys: Vec<Key>) -> Result<(), CallError> {
    let guard = connection.guard(keys.iter().cloned());
    connection.execute(keys.into_iter().map(|key| CacheCommand::Delete { key, cas: None }).collect()).await?;
    guard.disarm();
    Ok(())
}
