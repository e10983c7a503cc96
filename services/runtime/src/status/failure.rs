//! The failure of a call.

use std::borrow::Cow;

use diptych_kernel::{Partition, Position, RequestId, StreamId, Timestamp, Version, domain::ViewId};
use tonic::Code;

/// Failure of a call. Every variant is one reason of `diptych.v1.ErrorReason`, or a refusal by a rule of a domain.
///
/// Its texts are sent to the caller: they name what the caller sent, never internal errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A required field is missing or empty.
    FieldMissing {
        /// The field as the caller wrote it, such as `seat_id` or `seat_ids[3]`.
        field: Cow<'static, str>,
    },
    /// A field cannot be read.
    FieldMalformed {
        /// The field.
        field: Cow<'static, str>,
        /// The problem and the allowed values: "is `x`, which is not a UUID such as ...".
        problem: String,
    },
    /// A field is too long, or holds too many values.
    FieldTooLong {
        /// The field.
        field: Cow<'static, str>,
        /// The length and the maximum.
        problem: String,
    },
    /// A number is outside its range.
    FieldOutOfRange {
        /// The field.
        field: Cow<'static, str>,
        /// The number and the range.
        problem: String,
    },
    /// A consistency token was not issued by this installation.
    TokenInvalid {
        /// The field that holds it.
        field: Cow<'static, str>,
        /// The problem.
        problem: String,
    },
    /// A page token was not issued by this method.
    PageTokenInvalid {
        /// The field that holds it.
        field: Cow<'static, str>,
    },
    /// Several fields are invalid. Reason and code are those of the first; BadRequest names all. Made by
    /// [`InvalidFields`](super::InvalidFields).
    FieldsInvalid {
        /// The failure of the first invalid field: one of the variants above.
        first: Box<Failure>,
        /// The failures of the others.
        others: Vec<Failure>,
    },
    /// The request id was used for another command.
    RequestIdReused {
        /// The request id.
        request_id: RequestId,
    },
    /// The stream is not at the version that the caller expects.
    VersionMismatch {
        /// The stream.
        stream_id: StreamId,
        /// The version that the caller expected.
        expected: Version,
        /// The version of the stream.
        actual: Version,
    },
    /// Other writers wrote to the stream first, several times in a row.
    Contention {
        /// The stream.
        stream_id: StreamId,
        /// The version that the last decision was made on.
        expected: Version,
        /// The version of the stream at that commit.
        actual: Version,
    },
    /// It is unknown whether the command was stored.
    OutcomeUnknown,
    /// The write database cannot be reached; this call stored nothing.
    WriteUnavailable,
    /// The write database stores nothing until an operator acts; this call stored nothing.
    WriteSuspended,
    /// The command was queued, and expired before the write database was back.
    CommandExpired,
    /// Commands on the stream are queued and have not run yet; this call stored nothing.
    StreamQueued {
        /// The stream.
        stream_id: StreamId,
    },
    /// A view did not reach the position of the caller's token in time.
    ViewBehind {
        /// The view.
        view: ViewId,
        /// The partition that is behind.
        partition: Partition,
        /// The position of the token.
        required: Position,
        /// The position of the view.
        reached: Position,
    },
    /// The views are older than the caller allows.
    ViewTooOld {
        /// The partition that is too old.
        partition: Partition,
        /// The time up to which the answer must be complete.
        required: Timestamp,
        /// The time up to which the views are complete; `None` before the first event.
        reached: Option<Timestamp>,
    },
    /// The rows of this stream are parked.
    ViewParked {
        /// The stream.
        stream_id: StreamId,
    },
    /// The read database cannot be reached.
    ReadUnavailable,
    /// A queue or a limit is full; this call stored nothing.
    Overloaded {
        /// The queue or limit, such as "command queue".
        what: &'static str,
    },
    /// This process is stopping; this call stored nothing.
    ShuttingDown,
    /// No command with this request id is known.
    ReceiptNotFound {
        /// The request id.
        request_id: RequestId,
    },
    /// An internal error. The code that returns it has logged the cause.
    Internal,
    /// A rule of a domain refused the command.
    Refused(DomainRefusal),
}

/// A refusal by a rule of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainRefusal {
    /// The package of the enum of reasons, such as `theatre.command.v1`.
    pub domain: &'static str,
    /// The reason without the prefix `ERROR_REASON_`, such as `SEAT_TAKEN`.
    pub reason: &'static str,
    /// The code that the reason's `reason_info` names.
    pub code: Code,
    /// The message for people: what happened, the values, what to do.
    pub message: String,
    /// The values for a program.
    pub metadata: Vec<(&'static str, String)>,
}

impl Failure {
    /// [`Failure::FieldMissing`].
    pub fn missing(field: impl Into<Cow<'static, str>>) -> Self {
        Self::FieldMissing { field: field.into() }
    }

    /// [`Failure::FieldMalformed`].
    pub fn malformed(field: impl Into<Cow<'static, str>>, problem: impl Into<String>) -> Self {
        Self::FieldMalformed { field: field.into(), problem: problem.into() }
    }

    /// [`Failure::FieldTooLong`].
    pub fn too_long(field: impl Into<Cow<'static, str>>, problem: impl Into<String>) -> Self {
        Self::FieldTooLong { field: field.into(), problem: problem.into() }
    }

    /// [`Failure::FieldOutOfRange`].
    pub fn out_of_range(field: impl Into<Cow<'static, str>>, problem: impl Into<String>) -> Self {
        Self::FieldOutOfRange { field: field.into(), problem: problem.into() }
    }
}
