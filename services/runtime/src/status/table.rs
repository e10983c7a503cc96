//! The table of failures: reason, gRPC code, and retry delay.

use std::time::Duration;

use diptych_proto::diptych::v1::ErrorReason as Reason;
use tonic::Code;

use super::failure::Failure;

/// The domain of the reasons in `diptych.v1.ErrorReason`, the value of `google.rpc.ErrorInfo.domain`.
pub(crate) const DOMAIN: &str = "diptych.v1";

/// A row of the table.
pub(super) struct Row {
    pub(super) reason: Reason,
    pub(super) code: Code,
    /// The delay before a retry may succeed, in milliseconds. Sent if the code is UNAVAILABLE or RESOURCE_EXHAUSTED.
    pub(super) retry_after_ms: u64,
}

/// A retry of the same call does not succeed.
const NEVER: u64 = 0;

const fn row(reason: Reason, code: Code, retry_after_ms: u64) -> Row {
    Row { reason, code, retry_after_ms }
}

/// The row of a failure. A refusal by a domain has its own reason and code; its row adds the delay, for domains that
/// refuse with a code that allows a retry.
pub(super) fn row_of(failure: &Failure) -> Row {
    match failure {
        Failure::FieldMissing { .. } => row(Reason::FieldMissing, Code::InvalidArgument, NEVER),
        Failure::FieldMalformed { .. } => row(Reason::FieldMalformed, Code::InvalidArgument, NEVER),
        Failure::FieldTooLong { .. } => row(Reason::FieldTooLong, Code::InvalidArgument, NEVER),
        Failure::FieldOutOfRange { .. } => row(Reason::FieldOutOfRange, Code::InvalidArgument, NEVER),
        Failure::TokenInvalid { .. } => row(Reason::TokenInvalid, Code::InvalidArgument, NEVER),
        Failure::PageTokenInvalid { .. } => row(Reason::PageTokenInvalid, Code::InvalidArgument, NEVER),
        Failure::FieldsInvalid { first, .. } => row_of(first),
        Failure::RequestIdReused { .. } => row(Reason::RequestIdReused, Code::AlreadyExists, NEVER),
        Failure::VersionMismatch { .. } => row(Reason::VersionMismatch, Code::Aborted, NEVER),
        Failure::Contention { .. } => row(Reason::Contention, Code::Aborted, NEVER),
        Failure::OutcomeUnknown => row(Reason::OutcomeUnknown, Code::Unavailable, 500),
        Failure::WriteUnavailable => row(Reason::WriteUnavailable, Code::Unavailable, 1_000),
        Failure::WriteSuspended => row(Reason::WriteSuspended, Code::Unavailable, 30_000),
        Failure::CommandExpired => row(Reason::CommandExpired, Code::FailedPrecondition, NEVER),
        Failure::StreamQueued { .. } => row(Reason::StreamQueued, Code::Unavailable, 1_000),
        Failure::ViewBehind { .. } => row(Reason::ViewBehind, Code::Unavailable, 100),
        Failure::ViewTooOld { .. } => row(Reason::ViewTooOld, Code::Unavailable, 1_000),
        Failure::ViewParked { .. } => row(Reason::ViewParked, Code::Unavailable, 30_000),
        Failure::ReadUnavailable => row(Reason::ReadUnavailable, Code::Unavailable, 1_000),
        Failure::Overloaded { .. } => row(Reason::Overloaded, Code::ResourceExhausted, 100),
        Failure::ShuttingDown => row(Reason::ShuttingDown, Code::Unavailable, 1_000),
        Failure::ReceiptNotFound { .. } => row(Reason::ReceiptNotFound, Code::NotFound, NEVER),
        Failure::Internal => row(Reason::Internal, Code::Internal, NEVER),
        Failure::Refused(refused) => row(Reason::Unspecified, refused.code, 1_000),
    }
}

impl Row {
    /// The delay before a retry, if a retry may succeed.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        matches!(self.code, Code::Unavailable | Code::ResourceExhausted)
            .then(|| Duration::from_millis(self.retry_after_ms))
    }
}

impl Failure {
    /// The reason without its prefix, the value of `ErrorInfo.reason`.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Refused(refused) => refused.reason,
            _ => reason_name(row_of(self).reason),
        }
    }

    /// The gRPC code.
    #[must_use]
    pub fn code(&self) -> Code {
        row_of(self).code
    }
}

/// The name of a reason as callers see it.
pub(crate) fn reason_name(reason: Reason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix("ERROR_REASON_").unwrap_or(name)
}
