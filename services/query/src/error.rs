//! Errors of queries.

use diptych_kernel::{Partition, Position, StreamId, Timestamp, domain::ViewId};
use diptych_runtime::Failure;

/// Error of a query. An answer that is older than the caller's token is never given instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The view did not reach the token before the deadline. A later retry can succeed.
    #[error("view {view} is at position {reached} of partition {partition}, the token requires {required}")]
    Behind {
        /// The view.
        view: ViewId,
        /// The partition in which the view is behind.
        partition: Partition,
        /// The position that the token requires.
        required: Position,
        /// The position that the view has reached.
        reached: Position,
    },
    /// No view was complete up to the time that the call requires before the deadline. A later retry can succeed.
    #[error("partition {partition} is complete up to {reached:?}, the call requires {required:?}")]
    TooOld {
        /// The partition.
        partition: Partition,
        /// The time that the call requires.
        required: Timestamp,
        /// The time up to which the partition is complete; `None` before its first progress.
        reached: Option<Timestamp>,
    },
    /// An event of the stream could not be projected, so the stored rows are not current.
    #[error("stream {stream_id} is parked: one of its events could not be projected")]
    Parked {
        /// The stream.
        stream_id: StreamId,
    },
    /// The read database is unreachable and no cached row is fresh enough. A later retry can succeed.
    #[error("the read database is unreachable")]
    Unavailable,
    /// Too many calls are waiting or reading. A later retry can succeed.
    #[error("too many calls are waiting or reading")]
    Overloaded,
    /// A permanent error; a retry does not help. The log has the details.
    #[error("a read of the read database failed permanently; see the log")]
    Internal,
}

impl QueryError {
    /// Converts the error to the failure that clients see.
    #[must_use]
    pub fn into_failure(self) -> Failure {
        match self {
            Self::Behind { view, partition, required, reached } => {
                Failure::ViewBehind { view, partition, required, reached }
            }
            Self::TooOld { partition, required, reached } => Failure::ViewTooOld { partition, required, reached },
            Self::Parked { stream_id } => Failure::ViewParked { stream_id },
            Self::Unavailable => Failure::ReadUnavailable,
            Self::Overloaded => Failure::Overloaded { what: "the query service" },
            Self::Internal => Failure::Internal,
        }
    }
}

/// Error of reading rows. Small and `Copy`, as every call that shares a read gets the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowReadError {
    /// A retry can succeed.
    Unavailable,
    /// Too many reads are in flight.
    Overloaded,
    /// An operator must intervene.
    Internal,
}

impl RowReadError {
    /// Returns the `error.type` attribute of traces.
    pub(crate) fn error_type(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Overloaded => "overloaded",
            Self::Internal => "internal",
        }
    }
}

impl From<RowReadError> for QueryError {
    fn from(error: RowReadError) -> Self {
        match error {
            RowReadError::Unavailable => Self::Unavailable,
            RowReadError::Overloaded => Self::Overloaded,
            RowReadError::Internal => Self::Internal,
        }
    }
}
