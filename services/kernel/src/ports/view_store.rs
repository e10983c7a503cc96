//! Read database: rows of views.

use std::future::Future;

use bytes::Bytes;

use super::PortResult;
use crate::{
    domain::{RowKey, ViewId},
    vocabulary::Position,
};

/// Row as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The position of the last event folded into the row.
    pub position: Position,
    /// The encoded message, or `None` if the row was deleted at that position.
    pub body: Option<Bytes>,
}

/// Row to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowWrite {
    /// The view, which names the table.
    pub view: ViewId,
    /// The row's key.
    pub key: RowKey,
    /// The row's new content: absolute, never a difference.
    pub row: Row,
}

/// Page of a group of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanPage {
    /// Sort keys and rows, in ascending order of sort key. Deleted rows are left out.
    pub rows: Vec<(Bytes, Row)>,
    /// True if the group has more rows after the last one.
    pub more: bool,
}

/// Read database.
///
/// Contract:
///
/// - **G7**: the row with the larger position wins, whatever the order of arrival. Writing an older row, or the same
///   one again, changes nothing and is not an error. Replays, repeats and writes of a former partition owner are
///   therefore harmless. Callers must not write two different rows of one key at one position.
/// - A deleted row keeps its position, so that an older write cannot restore it.
/// - A batch of writes is not atomic: after a failure or crash a part of it may be stored. Every reader sees an
///   acknowledged write.
/// - The rows of one group in a batch are stored in the order of their positions, whatever the order of the batch: a
///   scan of one view never returns a row of the batch without all rows of the group with smaller positions.
pub trait ViewStore: Send + Sync + 'static {
    /// Creates the tables of these views if they are missing. Idempotent.
    fn ensure_views(&self, views: &[ViewId]) -> impl Future<Output = PortResult<()>> + Send;

    /// Writes rows, and returns when all are durable.
    fn write(&self, rows: &[RowWrite]) -> impl Future<Output = PortResult<()>> + Send;

    /// Reads the rows of these keys, in order; `None` for a key that was never written.
    fn read(&self, view: ViewId, keys: &[RowKey]) -> impl Future<Output = PortResult<Vec<Option<Row>>>> + Send;

    /// Reads up to `limit` rows of a group, after a sort key or from the first row.
    fn scan(
        &self,
        view: ViewId,
        partition_key: &str,
        after_exclusive: Option<&[u8]>,
        limit: usize,
    ) -> impl Future<Output = PortResult<ScanPage>> + Send;

    /// Reads up to `limit` rows of the whole table after a key, deleted rows included, for the audit. The order is the
    /// store's own and does not change.
    fn scan_all(
        &self,
        view: ViewId,
        after_exclusive: Option<&RowKey>,
        limit: usize,
    ) -> impl Future<Output = PortResult<Vec<(RowKey, Row)>>> + Send;
}
