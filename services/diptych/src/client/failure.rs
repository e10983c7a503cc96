//! What an error from the server means.

use diptych_proto::google::rpc;
use prost::Message;
use tonic::{Code, Status};

/// The part of an error that a caller acts on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The gRPC code.
    pub(crate) code: Code,
    /// `ErrorInfo.reason`, such as `INSUFFICIENT_FUNDS`; the name of the code where there is none.
    pub(crate) reason: String,
    /// What the server says to a person.
    pub(crate) message: String,
    /// Whether whoever answered gave the reason: a service, or a gateway for it. Else it comes from the way there: what a cut looks like
    /// depends on the moment, and INTERNAL and UNKNOWN are among it.
    pub(crate) is_explained: bool,
}

/// What to do where somebody on the way asks who calls.
const WHO_CALLS: &str = "give a token that allows it with --token (DIPTYCH_TOKEN)";

impl Failure {
    /// Whether sending the same again, with the same request id, may succeed.
    pub(crate) fn is_passing(&self) -> bool {
        match self.code {
            Code::Unavailable | Code::ResourceExhausted => true,
            Code::Aborted => self.reason == "CONTENTION",
            _ => false,
        }
    }

    /// Whether asking the same again may get an answer, for what changes nothing: also after a deadline, or a connection that broke, which
    /// look different each time.
    pub(crate) fn is_passing_for_question(&self) -> bool {
        let is_of_the_way =
            matches!(self.code, Code::Unknown | Code::Internal | Code::Cancelled | Code::DeadlineExceeded);
        self.is_passing() || (is_of_the_way && !self.is_explained)
    }

    /// Whether a call that ended with this will end so again, however often it is made: because it was answered, and so that it says, or by
    /// what a cut never looks like.
    pub(crate) fn is_final_for_call(&self) -> bool {
        let is_answer = self.is_explained && !self.is_passing();
        is_answer
            || matches!(
                self.code,
                Code::Unimplemented | Code::Unauthenticated | Code::PermissionDenied | Code::InvalidArgument
            )
    }
}

impl From<&rpc::Status> for Failure {
    fn from(status: &rpc::Status) -> Self {
        let code = Code::from_i32(status.code);
        let info = status
            .details
            .iter()
            .filter(|any| any.type_url.ends_with("/google.rpc.ErrorInfo"))
            .find_map(|any| rpc::ErrorInfo::decode(any.value.as_slice()).ok());
        let is_explained = info.is_some();
        let reason = info.map_or_else(|| format!("{code:?}"), |info| info.reason);
        let message = match code {
            Code::Unauthenticated | Code::PermissionDenied => format!("{}: {WHO_CALLS}", status.message),
            _ => status.message.clone(),
        };
        Self { code, reason, message, is_explained }
    }
}

impl From<&Status> for Failure {
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
        let failure = Failure::from(&status(Code::Aborted, "CONTENTION"));
        assert_eq!(
            (failure.code, failure.reason.as_str(), failure.message.as_str()),
            (Code::Aborted, "CONTENTION", "no")
        );
        assert_eq!(Failure::from(&Status::cancelled("gone")).reason, "Cancelled");
    }

    #[test]
    fn only_what_passes_is_sent_again() {
        for (code, reason, passing) in [
            (Code::Unavailable, "WRITE_UNAVAILABLE", true),
            (Code::Unavailable, "OUTCOME_UNKNOWN", true),
            (Code::ResourceExhausted, "OVERLOADED", true),
            (Code::Aborted, "CONTENTION", true),
            (Code::Aborted, "VERSION_MISMATCH", false),
            (Code::FailedPrecondition, "INSUFFICIENT_FUNDS", false),
            (Code::AlreadyExists, "REQUEST_ID_REUSED", false),
            (Code::Internal, "INTERNAL", false),
        ] {
            assert_eq!(Failure::from(&status(code, reason)).is_passing(), passing, "{reason}");
        }
    }

    #[test]
    fn a_question_is_asked_again_when_it_was_lost_on_the_way() {
        for code in [Code::Unknown, Code::Internal, Code::Cancelled, Code::DeadlineExceeded, Code::Unavailable] {
            let lost = Failure::from(&Status::new(code, "transport error"));
            assert!(lost.is_passing_for_question(), "{code:?}");
        }
        assert!(!Failure::from(&status(Code::Internal, "INTERNAL")).is_passing_for_question());
        for code in [Code::NotFound, Code::InvalidArgument, Code::Unauthenticated] {
            assert!(!Failure::from(&Status::new(code, "no")).is_passing_for_question(), "{code:?}");
        }
    }

    #[test]
    fn a_call_that_was_cut_is_made_again_and_one_that_was_answered_is_not() {
        for cut in [
            Status::new(Code::Internal, "h2 protocol error: error reading a body from connection"),
            Status::new(Code::Unknown, "transport error"),
            Status::cancelled("h2 protocol error: http2 error"),
            Status::unavailable("the server ended the stream"),
            Status::deadline_exceeded("took longer"),
        ] {
            assert!(!Failure::from(&cut).is_final_for_call(), "{cut:?}");
        }
        for passing in [status(Code::Unavailable, "SHUTTING_DOWN"), status(Code::ResourceExhausted, "OVERLOADED")] {
            assert!(!Failure::from(&passing).is_final_for_call(), "{passing:?}");
        }
        for answer in [
            status(Code::Internal, "INTERNAL"),
            status(Code::InvalidArgument, "FIELD_MALFORMED"),
            Status::unauthenticated("Jwt is missing"),
            Status::unimplemented(""),
        ] {
            assert!(Failure::from(&answer).is_final_for_call(), "{answer:?}");
        }
    }

    #[test]
    fn who_is_not_let_in_is_told_how() {
        let failure = Failure::from(&Status::unauthenticated("Jwt is missing"));
        assert!(failure.message.starts_with("Jwt is missing: ") && failure.message.contains("--token"), "{failure:?}");
    }
}
