//! Failures as callers see them. [`table`] is the one place that says which failure has which reason and gRPC code.

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

/// The domain of the reasons in `diptych.v1.ErrorReason`, as it stands in `google.rpc.ErrorInfo.domain`.
pub(crate) const DOMAIN: &str = "diptych.v1";

/// A header of answers by which a gateway knows that it may send the same call to another instance at once. Callers do not see it.
///
/// Without it the failure is everybody's, or the caller's time is up: whoever then asked elsewhere would end with a deadline that has
/// passed, in the place of an answer that says why and when to ask again.
pub const TRY_ELSEWHERE: &str = "x-diptych-try-elsewhere";

/// Has the gateway send the call to another instance: see [`TRY_ELSEWHERE`].
pub fn let_try_elsewhere(status: &mut Status) {
    status.metadata_mut().insert(TRY_ELSEWHERE, MetadataValue::from_static("true"));
}

/// Why a call fails. Every variant is one reason of `diptych.v1.ErrorReason`, or a refusal of a domain's rule.
///
/// Texts in it are sent to the caller: name what the caller sent, never what went wrong inside.
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
        /// What is wrong with the value, and what is allowed: "is `x`, which is not a UUID such as ...".
        problem: String,
    },
    /// A field is too long, or holds too many values.
    FieldTooLong {
        /// The field.
        field: Cow<'static, str>,
        /// How long it is, and how long it may be.
        problem: String,
    },
    /// A number is outside its range.
    FieldOutOfRange {
        /// The field.
        field: Cow<'static, str>,
        /// The number and the range.
        problem: String,
    },
    /// A consistency token is not one of this installation's.
    TokenInvalid {
        /// The field that holds it.
        field: Cow<'static, str>,
        /// What is wrong with it.
        problem: String,
    },
    /// A page token is not one that this call made.
    PageTokenInvalid {
        /// The field that holds it.
        field: Cow<'static, str>,
    },
    /// Several fields are invalid. Reason and code are those of the first; BadRequest names all. Made by [`InvalidFields`].
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
        /// What the caller expects.
        expected: Version,
        /// What it is.
        actual: Version,
    },
    /// Other writers were faster, several times in a row.
    Contention {
        /// The stream.
        stream_id: StreamId,
        /// The version that the last decision was made on.
        expected: Version,
        /// The version found at its commit.
        actual: Version,
    },
    /// Whether the command was stored is not known.
    OutcomeUnknown,
    /// The write database cannot be reached; nothing was stored.
    WriteUnavailable,
    /// A view has not reached the caller's token in time.
    ViewBehind {
        /// The view.
        view: ViewId,
        /// The partition that is behind.
        partition: Partition,
        /// What the token asks for.
        required: Position,
        /// What the view has reached.
        reached: Position,
    },
    /// A view of this stream stands still.
    ViewParked {
        /// The stream.
        stream_id: StreamId,
    },
    /// The read database cannot be reached.
    ReadUnavailable,
    /// A queue or a limit is full; nothing was stored.
    Overloaded {
        /// What is full, such as "the queue of commands".
        what: &'static str,
    },
    /// This process is stopping; nothing was stored.
    ShuttingDown,
    /// No command with this request id is known.
    ReceiptNotFound {
        /// The request id.
        request_id: RequestId,
    },
    /// An invariant is broken. Whoever makes this has logged what and where.
    Internal,
    /// A rule of a domain says no.
    Refused(Refused),
}

/// A refusal of a domain's rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The package of the enum of reasons, such as `theatre.command.v1`.
    pub domain: &'static str,
    /// The reason without the prefix `ERROR_REASON_`, such as `SEAT_TAKEN`.
    pub reason: &'static str,
    /// The code that the reason's `reason_info` names.
    pub code: Code,
    /// What happened, the values, and what to do, for a person.
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

    /// The reason without its prefix, as it stands in `ErrorInfo.reason`.
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

    /// Whether another instance may do at once what this one cannot: it has a database connection, or a life, of its own.
    fn may_pass_elsewhere(&self) -> bool {
        matches!(self, Self::WriteUnavailable | Self::ShuttingDown)
    }

    /// The end of a call with this status: that of [`Failure::to_rpc_status`], or one with more details.
    #[must_use]
    pub fn end_of_call(&self, status: &rpc::Status) -> Status {
        let details = prost::Message::encode_to_vec(status);
        let mut ended = Status::with_details(self.code(), status.message.clone(), details.into());
        if self.may_pass_elsewhere() {
            let_try_elsewhere(&mut ended);
        }
        ended
    }

    /// The failure as a message of its own, for answers on a stream: code, message and details are those of the
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
        failure.end_of_call(&failure.to_rpc_status())
    }
}
