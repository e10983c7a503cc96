//! The report of an audit.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
};

use diptych_kernel::{
    Partition, Position, StreamId, Version,
    domain::{RowKey, ViewId},
    ports::Parked,
};

/// The numbers of rows of a view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ViewCount {
    /// Rows made by events.
    pub rows_expected: u64,
    /// Rows found in the table, including deleted ones.
    pub rows_stored: u64,
}

/// A kind of incorrect row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The row is missing.
    Missing {
        /// The expected position.
        expected: Position,
    },
    /// The row exists, but no event makes it.
    Extra {
        /// The stored position.
        stored: Position,
    },
    /// The row is behind its view's progress, or at a position at which it was not changed.
    Misplaced {
        /// The expected position.
        expected: Position,
        /// The stored position.
        stored: Position,
    },
    /// The row has the right position, but other content.
    Altered {
        /// The stored position.
        position: Position,
    },
}

/// A difference between the events and the stored rows, or an inconsistency of the events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// A row is incorrect.
    Row {
        /// The view.
        view: ViewId,
        /// The row.
        key: RowKey,
        /// The kind of difference.
        finding: Finding,
    },
    /// An event cannot be decoded or folded, and its stream is not parked.
    Unreadable {
        /// The view whose fold failed; `None` where the event cannot be decoded.
        view: Option<ViewId>,
        /// The stream.
        stream_id: StreamId,
        /// The version of the event.
        version: Version,
        /// The reason.
        reason: String,
    },
    /// The versions of a stream are not dense.
    VersionSkipped {
        /// The stream.
        stream_id: StreamId,
        /// The expected version.
        expected: Version,
        /// The version found.
        found: Version,
    },
    /// An event is in another partition than that of its stream.
    WrongPartition {
        /// The stream.
        stream_id: StreamId,
        /// The partition of the event.
        found: Partition,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Row { view, key, finding } => {
                write!(f, "view {view}, row {}", key.partition_key)?;
                if !key.sort_key.is_empty() {
                    write!(f, " / {}", key.sort_key.escape_ascii())?;
                }
                match finding {
                    Finding::Missing { expected } => write!(f, ": missing, expected at position {expected}"),
                    Finding::Extra { stored } => write!(f, ": no event makes this row, found at position {stored}"),
                    Finding::Misplaced { expected, stored } => {
                        write!(f, ": at position {stored}, expected at {expected}")
                    }
                    Finding::Altered { position } => write!(f, ": wrong content at position {position}"),
                }
            }
            Self::Unreadable { view: Some(view), stream_id, version, reason } => {
                write!(
                    f,
                    "view {view}: event {version} of stream {stream_id} cannot be folded and is not parked: {reason}"
                )
            }
            Self::Unreadable { view: None, stream_id, version, reason } => {
                write!(f, "event {version} of stream {stream_id} cannot be decoded and is not parked: {reason}")
            }
            Self::VersionSkipped { stream_id, expected, found } => {
                write!(f, "stream {stream_id}: found version {found}, expected {expected}")
            }
            Self::WrongPartition { stream_id, found } => {
                write!(f, "stream {stream_id}: found in partition {found}, which is not its partition")
            }
        }
    }
}

/// The result of an audit.
#[derive(Clone, Debug)]
pub struct AuditReport {
    /// The number of replayed events.
    pub events: u64,
    /// The number of events not projected yet. A view may be behind, and is correct up to its progress.
    pub events_not_yet_projected: u64,
    /// The numbers of rows by view.
    pub views: BTreeMap<ViewId, ViewCount>,
    /// The first differences, up to the requested number.
    pub differences: Vec<Difference>,
    /// The total number of differences.
    pub differences_count: u64,
    /// The streams parked in a view. Their rows are correct up to the parked event.
    pub parked: Vec<(ViewId, Partition, Parked)>,
    differences_max: usize,
    /// The rows made by events, as hashes of view and key.
    pub(super) expected_rows: HashSet<u64>,
}

impl AuditReport {
    pub(super) fn new(differences_max: usize) -> Self {
        Self {
            events: 0,
            events_not_yet_projected: 0,
            views: BTreeMap::new(),
            differences: Vec::new(),
            differences_count: 0,
            parked: Vec::new(),
            differences_max,
            expected_rows: HashSet::new(),
        }
    }

    /// Whether every row is correct and no stream is parked.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.differences_count == 0 && self.parked.is_empty()
    }

    pub(super) fn add_difference(&mut self, difference: Difference) {
        self.differences_count += 1;
        if self.differences.len() < self.differences_max {
            self.differences.push(difference);
        }
    }

    pub(super) fn expect_row(&mut self, view: ViewId, key: &RowKey) {
        self.expected_rows.insert(hash_of(view, key));
        self.views.entry(view).or_default().rows_expected += 1;
    }

    pub(super) fn expects_row(&self, view: ViewId, key: &RowKey) -> bool {
        self.expected_rows.contains(&hash_of(view, key))
    }
}

/// Hashes a row's identity. Two of a billion rows collide with a probability of one in forty; a collision hides at most
/// one extra row.
fn hash_of(view: ViewId, key: &RowKey) -> u64 {
    let mut hasher = DefaultHasher::new();
    (view, key).hash(&mut hasher);
    hasher.finish()
}
