//! Views: read tables, defined as folds over events.

use std::{collections::BTreeSet, fmt, sync::Arc};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::vocabulary::RecordedEvent;

/// Identifier of a view's table: the view's name and generation. A new generation is a new table, filled from the first
/// event on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ViewId {
    /// The view's name: lower-case letters and `_`, at most 32 bytes.
    pub name: &'static str,
    /// Generation, incremented whenever a change makes the view produce different rows.
    pub generation: u16,
}

impl fmt::Display for ViewId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_g{}", self.name, self.generation)
    }
}

/// Returns the name of a set of views: 8 hexadecimal digits of SHA-256 over their names with generations, in order.
/// Programs that write the same tables have the same name, and those that write others have another one.
#[must_use]
pub fn view_set_name(views: &[ViewId]) -> String {
    let tables: BTreeSet<String> = views.iter().map(ToString::to_string).collect();
    let tables: Vec<String> = tables.into_iter().collect();
    let digest = Sha256::digest(tables.join(","));
    digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// Key of a row: its group, which is bounded in size, and its sort key within the group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey {
    /// The group. Rows of one group are stored together and scanned in order. 1 to 255 bytes.
    pub partition_key: Arc<str>,
    /// The sort key within the group, compared as bytes. At most 255 bytes; empty if a group has one row.
    pub sort_key: Bytes,
}

impl RowKey {
    /// Creates the key of the only row of a group.
    #[must_use]
    pub fn single(partition_key: &str) -> Self {
        Self { partition_key: partition_key.into(), sort_key: Bytes::new() }
    }

    /// Creates the key of a row in a group.
    #[must_use]
    pub fn new(partition_key: &str, sort_key: impl Into<Bytes>) -> Self {
        Self { partition_key: partition_key.into(), sort_key: sort_key.into() }
    }
}

/// Scope of the events that form one row of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every row is folded from the events of one stream.
    Stream,
    /// A row is folded from events of many streams of one partition, and readers merge the partial rows of all
    /// partitions. Keys must differ between partitions.
    Partition,
}

/// Decoded event together with its record.
#[derive(Debug)]
pub struct DecodedEvent<'a, E> {
    /// The stored event: position, stream, time and encoded payload.
    pub record: &'a RecordedEvent,
    /// The decoded event.
    pub event: &'a E,
}

// Not derived, because a derive would require `E: Copy`.
impl<E> Clone for DecodedEvent<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for DecodedEvent<'_, E> {}

/// View: a read table, defined as a fold over events. Rows are encoded messages, which the query service sends as they
/// are.
///
/// `key` and `fold` are pure: the bytes of a row at a position are always the same, whichever process folds them (G5,
/// G7).
pub trait View<E>: Send + Sync {
    /// Returns the identifier of the table.
    fn id(&self) -> ViewId;

    /// Returns the scope of the events that form a row.
    fn scope(&self) -> Scope;

    /// Returns whether every row is folded from exactly one event. The projector then writes it without reading it
    /// first.
    fn has_one_event_per_row(&self) -> bool {
        false
    }

    /// Returns whether rows are read by key, so that caching them is useful. Return `false` for rows that are only
    /// scanned: the projector then does not refresh them in the cache.
    fn is_cached(&self) -> bool {
        true
    }

    /// Returns the key of the row that the event changes, or `None` if it changes no row of this view.
    fn key(&self, event: DecodedEvent<'_, E>) -> Option<RowKey>;

    /// Returns the row after the event, or `None` to delete it. `row` is the row before the event, or `None` if it does
    /// not exist or was deleted. Called once per event of the row, in order.
    ///
    /// # Errors
    /// If the row cannot be computed. The stream is then parked, and the reason is reported to operators.
    fn fold(&self, row: Option<&[u8]>, event: DecodedEvent<'_, E>) -> Result<Option<Bytes>, FoldError>;
}

/// Error for an event that cannot be folded into its row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot fold {event_type} into view {view}: {reason}")]
pub struct FoldError {
    /// The view.
    pub view: ViewId,
    /// The event's type.
    pub event_type: String,
    /// The reason.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEATS: ViewId = ViewId { name: "seats", generation: 1 };
    const TOTALS: ViewId = ViewId { name: "totals", generation: 3 };

    #[test]
    fn a_set_of_views_is_named_by_its_names_and_generations_in_any_order() {
        // The first digits of SHA-256 of "seats_g1,totals_g3".
        assert_eq!(view_set_name(&[SEATS, TOTALS]), "51e52819");
        assert_eq!(view_set_name(&[TOTALS, SEATS, TOTALS]), view_set_name(&[SEATS, TOTALS]));
        assert_ne!(view_set_name(&[SEATS]), view_set_name(&[SEATS, TOTALS]));
        assert_ne!(view_set_name(&[ViewId { generation: 2, ..SEATS }, TOTALS]), view_set_name(&[SEATS, TOTALS]));
    }
}
