//! Cache in front of the read database.

use std::future::Future;

use bytes::Bytes;

use super::PortResult;
use crate::{
    domain::{RowKey, ViewId},
    vocabulary::{Position, Timestamp},
};

/// Row as cached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedRow {
    /// The position of the last event folded into the row.
    pub position: Position,
    /// Position up to which the row is current: the view's progress in the row's partition, read before the row was, or
    /// `position` if that is larger. Never below `position`.
    pub current_up_to: Position,
    /// The write database's time at which the row was current up to there; 0 if it is not known.
    pub as_of: Timestamp,
    /// The encoded message, or `None` if there is no such row.
    pub body: Option<Bytes>,
}

/// Permission to fill a key, granted to one reader on a miss. It becomes void when the key changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FillLease(pub u64);

/// Result of reading a key from the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheRead {
    /// The key is cached.
    Hit(CachedRow),
    /// The key is not cached, and the caller may fill it.
    Miss(FillLease),
    /// The key is not cached, and another reader is filling it.
    Filling,
}

/// Cache in front of the read database. It may evict anything at any time.
///
/// Contract:
///
/// - **G7**: a row never replaces one with a larger position or, at the same position, a larger `current_up_to`. A fill
///   is accepted only while its lease is valid, and every refresh or invalidation of the key voids the lease, so that a
///   slow reader cannot restore an old row.
/// - A failure counts as a miss: the caller records it and reads from the read database.
/// - A caller that drops a read and then reads from the read database invalidates the keys. An invalidation that has
///   begun takes effect before later reads of the keys through the same handle, even if it fails or is dropped.
pub trait ViewCache: Send + Sync + 'static {
    /// Reads these keys, and returns one result per key, in order.
    fn read(&self, view: ViewId, keys: &[RowKey]) -> impl Future<Output = PortResult<Vec<CacheRead>>> + Send;

    /// Caches a row that was read from the read database after a miss. Returns whether the row was accepted.
    fn fill(
        &self,
        view: ViewId,
        key: &RowKey,
        lease: FillLease,
        row: CachedRow,
    ) -> impl Future<Output = PortResult<bool>> + Send;

    /// Updates rows after the read database has acknowledged them: replaces cached rows and voids leases. May also
    /// cache rows that were not cached.
    fn refresh(&self, view: ViewId, rows: &[(RowKey, CachedRow)]) -> impl Future<Output = PortResult<()>> + Send;

    /// Removes keys from the cache and voids their leases.
    fn invalidate(&self, view: ViewId, keys: &[RowKey]) -> impl Future<Output = PortResult<()>> + Send;
}
