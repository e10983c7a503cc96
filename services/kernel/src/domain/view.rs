//! Views: read tables as folds over events.

use std::{fmt, sync::Arc};

use bytes::Bytes;

use crate::vocabulary::RecordedEvent;

/// The name of a view's table: the view and its generation. A new generation is a new table, filled from the first event on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ViewId {
    /// What it is called: lower-case letters and `_`, at most 32.
    pub name: &'static str,
    /// Counts up whenever the rows would come out differently from before.
    pub generation: u16,
}

impl fmt::Display for ViewId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_g{}", self.name, self.generation)
    }
}

/// The key of a row: which bounded group of rows it is in, and where it sorts within the group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey {
    /// The group: rows of one group are stored together and scanned in order. 1 to 255 bytes.
    pub partition_key: Arc<str>,
    /// The place in the group: sorts as bytes. At most 255 bytes; empty where a group has one row.
    pub sort_key: Bytes,
}

impl RowKey {
    /// The only row of its group.
    #[must_use]
    pub fn single(partition_key: &str) -> Self {
        Self { partition_key: partition_key.into(), sort_key: Bytes::new() }
    }

    /// A row of a group.
    #[must_use]
    pub fn new(partition_key: &str, sort_key: impl Into<Bytes>) -> Self {
        Self { partition_key: partition_key.into(), sort_key: sort_key.into() }
    }
}

/// Whose events a row of a view is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every row is made of the events of one stream.
    Stream,
    /// A row is made of events of many streams of one partition; readers merge the partial rows of all partitions. Its keys
    /// must differ from partition to partition.
    Partition,
}

/// An event with its record.
#[derive(Debug)]
pub struct DecodedEvent<'a, E> {
    /// Where and when.
    pub record: &'a RecordedEvent,
    /// What.
    pub event: &'a E,
}

// By hand, as a derive would ask for events that can be copied themselves.
impl<E> Clone for DecodedEvent<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for DecodedEvent<'_, E> {}

/// A read table as a fold over events. Rows are encoded messages: what is written here is what the query service sends.
///
/// `key` and `fold` are pure: the bytes of a row at a position are always the same, whoever folds them (G5, G7).
pub trait View<E>: Send + Sync {
    /// The name of the table.
    fn id(&self) -> ViewId;

    /// Whose events a row is made of.
    fn scope(&self) -> Scope;

    /// Whether every row is made of exactly one event, so that it need not be read before it is written. A help for the projector.
    fn has_one_event_per_row(&self) -> bool {
        false
    }

    /// Whether its rows are read one by one, by their keys, so that they are worth keeping in the cache. Rows that are only ever scanned are
    /// not: `false` saves the projector from refreshing them there.
    fn is_cached(&self) -> bool {
        true
    }

    /// The row that the event concerns, or `None` where it concerns none.
    fn key(&self, event: DecodedEvent<'_, E>) -> Option<RowKey>;

    /// The row after the event. `row` is the row before it, `None` where there is none or it was deleted; an answer of `None`
    /// deletes it. Called once per event of the row, in order.
    ///
    /// # Errors
    /// When the row cannot be made. The stream is parked then, and an operator sees the reason.
    fn fold(&self, row: Option<&[u8]>, event: DecodedEvent<'_, E>) -> Result<Option<Bytes>, FoldError>;
}

/// An event that cannot be folded into its row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot fold {event_type} into view {view}: {reason}")]
pub struct FoldError {
    /// The view.
    pub view: ViewId,
    /// The type of the event.
    pub event_type: String,
    /// Why not.
    pub reason: String,
}
