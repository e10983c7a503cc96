//! Why there is no answer.

use diptych_kernel::{Partition, Position, StreamId, domain::ViewId};
use diptych_runtime::Failure;

/// Why there is no answer. An answer that is older than the caller's token is never given instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The view did not reach the token before the deadline. Asking again later helps.
    #[error("view {view} is at {reached} of partition {partition}, the token asks for {required}")]
    Behind {
        /// The view.
        view: ViewId,
        /// The partition in which it is behind.
        partition: Partition,
        /// What the token asks for.
        required: Position,
        /// Where the view is.
        reached: Position,
    },
    /// An event of the stream could not be projected, so that what is there is not the present.
    #[error("stream {stream_id} is parked")]
    Parked {
        /// The stream.
        stream_id: StreamId,
    },
    /// The read database cannot be reached, and nothing cached is fresh enough. Asking again later helps.
    #[error("the read database cannot be reached")]
    Unavailable,
    /// Too many calls wait or read already. Asking again later helps.
    #[error("too many calls wait or read already")]
    Overloaded,
    /// Something is wrong that asking again does not help; the log has the story.
    #[error("the read database cannot be read")]
    Internal,
}

impl QueryError {
    /// As callers see it.
    #[must_use]
    pub fn into_failure(self) -> Failure {
        match self {
            Self::Behind { view, partition, required, reached } => {
                Failure::ViewBehind { view, partition, required, reached }
            }
            Self::Parked { stream_id } => Failure::ViewParked { stream_id },
            Self::Unavailable => Failure::ReadUnavailable,
            Self::Overloaded => Failure::Overloaded { what: "the query service" },
            Self::Internal => Failure::Internal,
        }
    }
}

/// Why rows could not be read. Small and copied to everybody who waits for the same read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Asking again may help.
    Unavailable,
    /// Too many reads are under way.
    Overloaded,
    /// Only a person can help.
    Internal,
}

impl Trouble {
    /// What traces call it.
    pub(crate) fn error_type(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Overloaded => "overloaded",
            Self::Internal => "internal",
        }
    }
}

impl From<Trouble> for QueryError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Unavailable => Self::Unavailable,
            Trouble::Overloaded => Self::Overloaded,
            Trouble::Internal => Self::Internal,
        }
    }
}
