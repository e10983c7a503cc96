//! What an audit found.

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

/// How much of a view was compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ViewCount {
    /// Rows that events make.
    pub rows_expected: u64,
    /// Rows found in the table, deleted ones included.
    pub rows_stored: u64,
}

/// Something that is not as the events say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The row is not there.
    Missing {
        /// The position that it should have.
        expected: Position,
    },
    /// The row is there and no event makes it.
    Extra {
        /// The position that it has.
        stored: Position,
    },
    /// The row is behind what the view's progress promises, or at a position at which it was not changed.
    Misplaced {
        /// The position that it should have.
        expected: Position,
        /// The position that it has.
        stored: Position,
    },
    /// The row has the right position and other content.
    Altered {
        /// The position that it has.
        position: Position,
    },
}

/// A difference between what the events say and what is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// In a row.
    Row {
        /// The view.
        view: ViewId,
        /// The row.
        key: RowKey,
        /// What about it.
        finding: Finding,
    },
    /// An event cannot be folded, and its stream is not marked as parked.
    Unreadable {
        /// The view, where the view's fold failed; `None` where the event cannot be decoded.
        view: Option<ViewId>,
        /// The stream.
        stream_id: StreamId,
        /// The event.
        version: Version,
        /// Why.
        reason: String,
    },
    /// The versions of a stream are not dense.
    VersionSkipped {
        /// The stream.
        stream_id: StreamId,
        /// The version that should come.
        expected: Version,
        /// The version that comes.
        found: Version,
    },
    /// An event stands in another partition than its stream's.
    WrongPartition {
        /// The stream.
        stream_id: StreamId,
        /// Where it stands.
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
                    Finding::Missing { expected } => write!(f, ": missing, should be at position {expected}"),
                    Finding::Extra { stored } => write!(f, ": no event makes it, it is at position {stored}"),
                    Finding::Misplaced { expected, stored } => {
                        write!(f, ": is at position {stored}, should be at {expected}")
                    }
                    Finding::Altered { position } => write!(f, ": has other content at position {position}"),
                }
            }
            Self::Unreadable { view: Some(view), stream_id, version, reason } => {
                write!(
                    f,
                    "view {view}: event {version} of stream {stream_id} cannot be folded and is not parked: {reason}"
                )
            }
            Self::Unreadable { view: None, stream_id, version, reason } => {
                write!(f, "event {version} of stream {stream_id} cannot be read and is not parked: {reason}")
            }
            Self::VersionSkipped { stream_id, expected, found } => {
                write!(f, "stream {stream_id}: version {found} comes where {expected} should")
            }
            Self::WrongPartition { stream_id, found } => {
                write!(f, "stream {stream_id}: stands in partition {found}, which is not its own")
            }
        }
    }
}

/// What an audit found.
#[derive(Clone, Debug)]
pub struct AuditReport {
    /// How many events were replayed.
    pub events: u64,
    /// How many events are stored beyond what the views have taken in: a view may be behind, and is right as far as it goes.
    pub events_not_yet_projected: u64,
    /// Rows by view.
    pub views: BTreeMap<ViewId, ViewCount>,
    /// The first differences, at most as many as asked for.
    pub differences: Vec<Difference>,
    /// How many differences there are in all.
    pub differences_count: u64,
    /// Streams that stand still in a view. Their rows are right as far as they go.
    pub parked: Vec<(ViewId, Partition, Parked)>,
    differences_max: usize,
    /// The rows that events make, as hashes of view and key.
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

    /// Whether every row is as the events say and nothing is parked.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.differences_count == 0 && self.parked.is_empty()
    }

    pub(super) fn differ(&mut self, difference: Difference) {
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

/// Two of a billion rows collide with a chance of one in forty; a collision hides at most that one extra row.
fn hash_of(view: ViewId, key: &RowKey) -> u64 {
    let mut hasher = DefaultHasher::new();
    (view, key).hash(&mut hasher);
    hasher.finish()
}
