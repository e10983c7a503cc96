//! Failures of calls and their gRPC statuses. [`table`] maps each failure to its reason and gRPC code.

mod details;
mod invalid_fields;
mod message;
mod table;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use diptych_kernel::{Partition, Position, RequestId, StreamId, Version, domain::ViewId};
use diptych_proto::{diptych::v1::ErrorReason, google::rpc};
use tonic::{Code, Status, metadata::MetadataValue};

pub use invalid_fields::InvalidFields;

/// The domain of the reasons in `diptych.v1.ErrorReason`, the value of `google.rpc.ErrorInfo.domain`.
pub(crate) const DOMAIN: &str = "diptych.v1";

/// A response header that allows a gateway to retry the call on another instance at once. Gateways remove it from
/// responses to callers.
///
/// Without it the failure would be the same on every instance, or the caller's deadline is near: a retry would then end
/// with an exceeded deadline instead of a response that states the reason and when to retry.
pub const TRY_ELSEWHERE: &str = "x-diptych-try-elsewhere";

/// Adds the header [`TRY_ELSEWHERE`] to a status.
pub fn mark_try_elsewhere(status: &mut Status) {
    status.metadata_mut().insert(TRY_ELSEWHERE, MetadataValue::from_static("true"));
}

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
    /// [`InvalidFields`].
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
    /// The write database cannot be reached; nothing was stored.
    WriteUnavailable,
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
    /// The rows of this stream are parked.
    ViewParked {
        /// The stream.
        stream_id: StreamId,
    },
    /// The read database cannot be reached.
    ReadUnavailable,
    /// A queue or a limit is full; nothing was stored.
    Overloaded {
        /// The queue or limit, such as "command queue".
        what: &'static str,
    },
    /// This process is stopping; nothing was stored.
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

    /// The reason without its prefix, the value of `ErrorInfo.reason`.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Refused(refused) => refused.reason,
            _ => reason_name(table::row_of(self).reason),
        }
    }

    /// The gRPC code.
    #[must_use]
    pub fn code(&self) -> Code {
        table::row_of(self).code
    }

    /// Returns whether another instance may succeed at once: it has database connections of its own and may not be
    /// stopping.
    fn may_succeed_elsewhere(&self) -> bool {
        matches!(self, Self::WriteUnavailable | Self::ShuttingDown)
    }

    /// The tonic status with the message and details of `status`: the one of [`Failure::to_rpc_status`], or one with
    /// more details.
    #[must_use]
    pub fn to_tonic_status(&self, status: &rpc::Status) -> Status {
        let details = prost::Message::encode_to_vec(status);
        let mut tonic_status = Status::with_details(self.code(), status.message.clone(), details.into());
        if self.may_succeed_elsewhere() {
            mark_try_elsewhere(&mut tonic_status);
        }
        tonic_status
    }

    /// The failure as a message, for responses on a stream, with the code, message and details of the
    /// [`tonic::Status`].
    #[must_use]
    pub fn to_rpc_status(&self) -> rpc::Status {
        rpc::Status { code: i32::from(self.code()), message: message::of(self), details: details::of(self) }
    }
}

/// The name of a reason as callers see it.
fn reason_name(reason: ErrorReason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix("ERROR_REASON_").unwrap_or(name)
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        failure.to_tonic_status(&failure.to_rpc_status())
    }
}
