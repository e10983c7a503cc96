//! Errors of commands.

use diptych_kernel::{RequestId, StreamId, Version};
use diptych_runtime::Failure;

/// Error of a command that has no receipt. `R` is the domain's refusal. Each variant says what the caller can do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError<R> {
    /// A rule of the domain refused it, on a state that was current after the command arrived (G8). No event was
    /// stored, and none will be by any submission with this request id. To try again, use a new request id.
    #[error("refused by a rule of the domain")]
    Refused(R),
    /// The request id belongs to a command with other content (G2). Use a new id for a new command.
    #[error("request id {request_id} was used for a command with other content")]
    RequestIdReused {
        /// The id.
        request_id: RequestId,
    },
    /// An earlier submission with the same request id and content was refused, with this error. The same holds as for
    /// that error.
    #[error("an earlier submission was refused: {0}")]
    RefusedBefore(Box<Self>),
    /// The command's first stream was not at the expected version. As for [`CommandError::Refused`], the command is
    /// never stored under this request id. Read again, decide again, use a new request id.
    #[error("stream {stream_id} is at version {actual}, not {expected}")]
    VersionMismatch {
        /// The stream.
        stream_id: StreamId,
        /// The version that the caller expected.
        expected: Version,
        /// The version of the stream.
        actual: Version,
    },
    /// Other processes wrote to the stream each time the command was about to be stored. This submission stored
    /// nothing; an earlier one may have. Send it again, later.
    #[error("other processes keep writing to stream {stream_id}: it is at version {actual}, not {expected}")]
    Contention {
        /// The stream.
        stream_id: StreamId,
        /// The version on which the command was decided last.
        expected: Version,
        /// The version of the stream at that commit.
        actual: Version,
    },
    /// The command would store events that are too large for the log. This submission stored nothing. Send less data in
    /// one command.
    #[error("the command would store {what} of {bytes} bytes: the maximum is {bytes_max}")]
    TooLarge {
        /// "an event" or "events".
        what: &'static str,
        /// The size, in bytes.
        bytes: usize,
        /// The maximum, in bytes.
        bytes_max: usize,
    },
    /// The write database did not confirm in time whether the command was stored. Send it again with the same request
    /// id, or ask for its receipt.
    #[error("the outcome is unknown: the write database did not answer in time")]
    OutcomeUnknown,
    /// The write database cannot be reached. This submission stored nothing; an earlier one may have. Send it again,
    /// later.
    #[error("the write database cannot be reached")]
    Unavailable,
    /// The write database stores nothing until an operator acts. This submission stored nothing; an earlier one may
    /// have. The cause is in the log. Send it again, later.
    #[error("the write database stores nothing until an operator acts")]
    Suspended,
    /// The command was queued, and had expired when the write database could store it. It is never stored under this
    /// request id. To try again, use a new request id.
    #[error("the queued command expired before it could be executed")]
    Expired,
    /// Commands on this stream are queued and have not been executed yet, and this one may not be queued behind them.
    /// This submission stored nothing; an earlier one may have. Send it again, later.
    #[error("earlier commands on stream {stream_id} are queued")]
    StreamQueued {
        /// The stream.
        stream_id: StreamId,
    },
    /// The durable queue of commands has no room. This submission stored nothing; an earlier one may have. Send it
    /// again, later.
    #[error("the durable queue of commands is full")]
    QueueFull,
    /// The queue is full. This submission stored nothing; an earlier one may have. Send it again, later.
    #[error("the command queue is full")]
    Overloaded,
    /// The process is stopping. This submission stored nothing; an earlier one may have. Send it again, to another
    /// process.
    #[error("the process is stopping")]
    ShuttingDown,
    /// A component failed: a stored event cannot be read, or the domain broke its contract. This submission stored
    /// nothing; the cause is in the log.
    #[error("a component failed; see the log")]
    Internal,
}

impl<R> CommandError<R> {
    /// Returns whether an earlier submission with the same request id was refused.
    pub fn is_repeated(&self) -> bool {
        matches!(self, Self::RefusedBefore(_))
    }

    /// The failure to report to a gRPC caller; `refused` translates the domain's refusal.
    pub fn into_failure(self, refused: impl Fn(R) -> Failure) -> Failure {
        match self {
            Self::Refused(refusal) => refused(refusal),
            Self::RefusedBefore(earlier) => earlier.into_failure(refused),
            Self::RequestIdReused { request_id } => Failure::RequestIdReused { request_id },
            Self::VersionMismatch { stream_id, expected, actual } => {
                Failure::VersionMismatch { stream_id, expected, actual }
            }
            Self::Contention { stream_id, expected, actual } => Failure::Contention { stream_id, expected, actual },
            Self::TooLarge { what, bytes, bytes_max } => {
                Failure::too_long("command", format!("would store {what} of {bytes} bytes: the maximum is {bytes_max}"))
            }
            Self::OutcomeUnknown => Failure::OutcomeUnknown,
            Self::Unavailable => Failure::WriteUnavailable,
            Self::Suspended => Failure::WriteSuspended,
            Self::Expired => Failure::CommandExpired,
            Self::StreamQueued { stream_id } => Failure::StreamQueued { stream_id },
            Self::QueueFull => Failure::Overloaded { what: "the durable queue of commands" },
            Self::Overloaded => Failure::Overloaded { what: "command queue" },
            Self::ShuttingDown => Failure::ShuttingDown,
            Self::Internal => Failure::Internal,
        }
    }
}
