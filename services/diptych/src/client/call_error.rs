//! Errors of gRPC calls, as clients act on them.

use diptych_proto::google::rpc;
use prost::Message;
use tonic::{Code, Status};

/// The part of an error that a caller acts on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CallError {
    /// The gRPC code.
    pub(crate) code: Code,
    /// `ErrorInfo.reason`, such as `INSUFFICIENT_FUNDS`; the name of the code where there is none.
    pub(crate) reason: String,
    /// The message for people.
    pub(crate) message: String,
    /// True if the answer had an `ErrorInfo`: it comes from a service, or a gateway on its behalf. Otherwise the
    /// network failed: a connection that breaks shows as various codes, INTERNAL and UNKNOWN among them.
    pub(crate) has_error_info: bool,
}

/// Remedy for a failed authentication.
const TOKEN_REMEDY: &str = "give a valid token with --token (DIPTYCH_TOKEN)";

impl CallError {
    /// Returns whether sending the same command again, with the same request id, may succeed.
    pub(crate) fn is_retryable(&self) -> bool {
        match self.code {
            Code::Unavailable | Code::ResourceExhausted => true,
            Code::Aborted => self.reason == "CONTENTION",
            _ => false,
        }
    }

    /// Returns whether sending the same query again may succeed: also after a deadline or a broken connection, which is
    /// safe as a query changes nothing.
    pub(crate) fn is_retryable_query(&self) -> bool {
        let is_network_code =
            matches!(self.code, Code::Unknown | Code::Internal | Code::Cancelled | Code::DeadlineExceeded);
        self.is_retryable() || (is_network_code && !self.has_error_info)
    }

    /// Returns whether repeating the call would end in the same error: it was answered by a service with a permanent
    /// error, or has a code that a broken connection never shows as.
    pub(crate) fn is_final(&self) -> bool {
        let is_answer = self.has_error_info && !self.is_retryable();
        is_answer
            || matches!(
                self.code,
                Code::Unimplemented | Code::Unauthenticated | Code::PermissionDenied | Code::InvalidArgument
            )
    }
}

impl From<&rpc::Status> for CallError {
    fn from(status: &rpc::Status) -> Self {
        let code = Code::from_i32(status.code);
        let info = status
            .details
            .iter()
            .filter(|any| any.type_url.ends_with("/google.rpc.ErrorInfo"))
            .find_map(|any| rpc::ErrorInfo::decode(any.value.as_slice()).ok());
        let has_error_info = info.is_some();
        let reason = info.map_or_else(|| format!("{code:?}"), |info| info.reason);
        let message = match code {
            Code::Unauthenticated | Code::PermissionDenied => format!("{}: {TOKEN_REMEDY}", status.message),
            _ => status.message.clone(),
        };
        Self { code, reason, message, has_error_info }
    }
}

impl From<&Status> for CallError {
    fn from(status: &Status) -> Self {
        let details = rpc::Status::decode(status.details()).map(|decoded| decoded.details).unwrap_or_default();
        Self::from(&rpc::Status { code: i32::from(status.code()), message: status.message().to_owned(), details })
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::{ErrorDetails, StatusExt};

    use super::*;

    fn status(code: Code, reason: &str) -> Status {
        Status::with_error_details(code, "no", ErrorDetails::with_error_info(reason, "diptych.v1", []))
    }

    #[test]
    fn the_reason_is_read_from_the_details() {
        let error = CallError::from(&status(Code::Aborted, "CONTENTION"));
        assert_eq!((error.code, error.reason.as_str(), error.message.as_str()), (Code::Aborted, "CONTENTION", "no"));
        assert_eq!(CallError::from(&Status::cancelled("gone")).reason, "Cancelled");
    }

    #[test]
    fn only_temporary_errors_are_retried() {
        for (code, reason, is_retryable) in [
            (Code::Unavailable, "WRITE_UNAVAILABLE", true),
            (Code::Unavailable, "OUTCOME_UNKNOWN", true),
            (Code::ResourceExhausted, "OVERLOADED", true),
            (Code::Aborted, "CONTENTION", true),
            (Code::Aborted, "VERSION_MISMATCH", false),
            (Code::FailedPrecondition, "INSUFFICIENT_FUNDS", false),
            (Code::AlreadyExists, "REQUEST_ID_REUSED", false),
            (Code::Internal, "INTERNAL", false),
        ] {
            assert_eq!(CallError::from(&status(code, reason)).is_retryable(), is_retryable, "{reason}");
        }
    }

    #[test]
    fn a_query_is_retried_after_a_network_error() {
        for code in [Code::Unknown, Code::Internal, Code::Cancelled, Code::DeadlineExceeded, Code::Unavailable] {
            let lost = CallError::from(&Status::new(code, "transport error"));
            assert!(lost.is_retryable_query(), "{code:?}");
        }
        assert!(!CallError::from(&status(Code::Internal, "INTERNAL")).is_retryable_query());
        for code in [Code::NotFound, Code::InvalidArgument, Code::Unauthenticated] {
            assert!(!CallError::from(&Status::new(code, "no")).is_retryable_query(), "{code:?}");
        }
    }

    #[test]
    fn a_call_is_repeated_after_a_broken_connection_and_not_after_an_answer() {
        for broken in [
            Status::new(Code::Internal, "h2 protocol error: error reading a body from connection"),
            Status::new(Code::Unknown, "transport error"),
            Status::cancelled("h2 protocol error: http2 error"),
            Status::unavailable("the server ended the stream"),
            Status::deadline_exceeded("took longer"),
        ] {
            assert!(!CallError::from(&broken).is_final(), "{broken:?}");
        }
        for temporary in [status(Code::Unavailable, "SHUTTING_DOWN"), status(Code::ResourceExhausted, "OVERLOADED")] {
            assert!(!CallError::from(&temporary).is_final(), "{temporary:?}");
        }
        for answer in [
            status(Code::Internal, "INTERNAL"),
            status(Code::InvalidArgument, "FIELD_MALFORMED"),
            Status::unauthenticated("Jwt is missing"),
            Status::unimplemented(""),
        ] {
            assert!(CallError::from(&answer).is_final(), "{answer:?}");
        }
    }

    #[test]
    fn an_authentication_error_says_how_to_give_a_token() {
        let error = CallError::from(&Status::unauthenticated("Jwt is missing"));
        assert!(error.message.starts_with("Jwt is missing: ") && error.message.contains("--token"), "{error:?}");
    }
}
