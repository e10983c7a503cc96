//! How a command can end without a receipt.

use diptych_kernel::{RequestId, StreamId, Version};
use diptych_runtime::Failure;

/// How a command ended without a receipt. `R` is the domain's refusal. Each says what the caller can do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError<R> {
    /// A rule of the domain said no, on a state that was current after the command arrived (G8). Nothing was stored.
    #[error("refused by a rule of the domain")]
    Refused(R),
    /// The request id belongs to a command with other content (G2). Use a new id for a new command.
    #[error("request id {request_id} was used for other content")]
    RequestIdReused {
        /// The id.
        request_id: RequestId,
    },
    /// The command's first stream was not at the expected version. Nothing was stored. Read again, decide again.
    #[error("stream {stream_id} is at version {actual}, not {expected}")]
    VersionMismatch {
        /// The stream.
        stream_id: StreamId,
        /// What the caller expected.
        expected: Version,
        /// What it is.
        actual: Version,
    },
    /// Other processes wrote to the stream each time the command was about to be stored. Nothing was stored. Send it again, later.
    #[error("others kept writing to stream {stream_id}: at version {actual}, not {expected}")]
    Contention {
        /// The stream.
        stream_id: StreamId,
        /// The version on which it was decided last.
        expected: Version,
        /// The version that the stream had by then.
        actual: Version,
    },
    /// The write database did not say in time whether the command was stored. Send it again with the same request id, or ask for
    /// its receipt.
    #[error("whether the command was stored is not known yet")]
    OutcomeUnknown,
    /// The write database could not be reached. This submission stored nothing. Send it again, later.
    #[error("the write database cannot be reached")]
    Unavailable,
    /// Too many commands wait. Nothing was stored. Send it again, later.
    #[error("too many commands wait")]
    Overloaded,
    /// The process is stopping. Nothing was stored. Send it again: another process will take it.
    #[error("the process is stopping")]
    ShuttingDown,
    /// Something is broken: a stored event cannot be read, the domain broke its contract, or the write database needs a person. Nothing was
    /// stored; the log has the story.
    #[error("broken inside; the log has the story")]
    Internal,
}

impl<R> CommandError<R> {
    /// The failure that the faces turn into a status; `refused` translates the domain's refusal.
    pub fn into_failure(self, refused: impl FnOnce(R) -> Failure) -> Failure {
        match self {
            Self::Refused(refusal) => refused(refusal),
            Self::RequestIdReused { request_id } => Failure::RequestIdReused { request_id },
            Self::VersionMismatch { stream_id, expected, actual } => {
                Failure::VersionMismatch { stream_id, expected, actual }
            }
            Self::Contention { stream_id, expected, actual } => Failure::Contention { stream_id, expected, actual },
            Self::OutcomeUnknown => Failure::OutcomeUnknown,
            Self::Unavailable => Failure::WriteUnavailable,
            Self::Overloaded => Failure::Overloaded { what: "command queue" },
            Self::ShuttingDown => Failure::ShuttingDown,
            Self::Internal => Failure::Internal,
        }
    }
}
