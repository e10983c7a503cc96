//! The read database: rows of views.

use std::future::Future;

use bytes::Bytes;

use super::PortResult;
use crate::{
    domain::{RowKey, ViewId},
    vocabulary::Position,
};

/// A row as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The position of the last event folded into it.
    pub position: Position,
    /// The encoded message; `None` where the row was deleted at that position.
    pub body: Option<Bytes>,
}

/// A row to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowWrite {
    /// The table.
    pub view: ViewId,
    /// Where in it.
    pub key: RowKey,
    /// What: absolute, never a difference.
    pub row: Row,
}

/// A piece of a group of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanPage {
    /// Sort keys and rows, ascending by sort key; deleted ones are left out.
    pub rows: Vec<(Bytes, Row)>,
    /// Whether there is more after the last of them.
    pub more: bool,
}

/// The read database.
///
/// - **G7**: the row with the larger position wins, whatever the order of arrival: writing an older one, or the same one again, changes nothing and
///   is no error. So replays, repeats and owners that do not know that they were replaced do no harm. Two different rows of one key at one
///   position must not be written.
/// - A deleted row keeps its position, so that an older write cannot bring it back.
/// - A batch of writes is not atomic: after a crash any part of it may be there. What was acknowledged is read by everybody.
pub trait ViewStore: Send + Sync + 'static {
    /// Creates the tables of these views where they are missing. Repeating it changes nothing.
    fn ensure_views(&self, views: &[ViewId]) -> impl Future<Output = PortResult<()>> + Send;

    /// Writes rows, and returns when all are durable.
    fn write(&self, rows: &[RowWrite]) -> impl Future<Output = PortResult<()>> + Send;

    /// The rows of these keys, in order; `None` where there never was one.
    fn read(&self, view: ViewId, keys: &[RowKey]) -> impl Future<Output = PortResult<Vec<Option<Row>>>> + Send;

    /// Up to `limit` rows of a group, after a sort key, or from the first.
    fn scan(
        &self,
        view: ViewId,
        partition_key: &str,
        after_exclusive: Option<&[u8]>,
        limit: usize,
    ) -> impl Future<Output = PortResult<ScanPage>> + Send;

    /// Up to `limit` rows of the whole table, deleted ones too, after a key, in an order of the store's own that stays the same: for
    /// the audit.
    fn scan_all(
        &self,
        view: ViewId,
        after_exclusive: Option<&RowKey>,
        limit: usize,
    ) -> impl Future<Output = PortResult<Vec<(RowKey, Row)>>> + Send;
}
