//! The cache in front of the read database.

use std::future::Future;

use bytes::Bytes;

use super::PortResult;
use crate::{
    domain::{RowKey, ViewId},
    vocabulary::{Position, Timestamp},
};

/// A row as cached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedRow {
    /// The position of the last event folded into it.
    pub position: Position,
    /// The row is right up to here: the view's progress in the row's partition, read before the row was. Never below `position`.
    pub as_of: Position,
    /// The write database's time of `as_of`.
    pub as_of_time: Timestamp,
    /// The encoded message; `None` where there is no such row.
    pub body: Option<Bytes>,
}

/// The right to fill a key: given to one reader that missed, void once the key has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FillLease(pub u64);

/// What the cache knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheRead {
    /// This.
    Hit(CachedRow),
    /// Nothing, and the caller may fill it.
    Miss(FillLease),
    /// Nothing, and another reader is filling it.
    Filling,
}

/// The cache in front of the read database. It may forget anything at any time.
///
/// - **G7**: a value never takes the place of one with a larger position or, at the same position, a larger `as_of`. A fill counts only while its
///   lease is good, and every refresh or invalidation of the key ends the lease: so a slow reader cannot put an old row back.
/// - A failure is a miss: the caller counts it and goes to the read database.
pub trait ViewCache: Send + Sync + 'static {
    /// What is cached of these keys, in order.
    fn read(&self, view: ViewId, keys: &[RowKey]) -> impl Future<Output = PortResult<Vec<CacheRead>>> + Send;

    /// Puts a row that was read from the read database after the miss. Returns whether it was taken.
    fn fill(
        &self,
        view: ViewId,
        key: &RowKey,
        lease: FillLease,
        row: CachedRow,
    ) -> impl Future<Output = PortResult<bool>> + Send;

    /// Brings rows up to date after the read database has acknowledged them: replaces what is cached and ends leases; may put what was
    /// not cached.
    fn refresh(&self, view: ViewId, rows: &[(RowKey, CachedRow)]) -> impl Future<Output = PortResult<()>> + Send;

    /// Forgets keys and ends their leases.
    fn invalidate(&self, view: ViewId, keys: &[RowKey]) -> impl Future<Output = PortResult<()>> + Send;
}
