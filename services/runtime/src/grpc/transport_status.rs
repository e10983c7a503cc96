//! Statuses that the transport makes before a service sees the call, given the reason that the contract promises.

use tonic::{Code, Status};

use crate::Failure;

/// The field that a message which cannot be read at all is reported under.
const WHOLE_MESSAGE: &str = "message";

const NO_SUCH_METHOD: &str = "this process serves no such method: `grpcurl -plaintext ADDRESS list` names the services that there are, of which \
     another process, or a gateway, may serve this one";

/// The status with a reason. One that has details already is returned as it is; so is one whose code says everything in itself, such
/// as UNIMPLEMENTED or CANCELLED.
///
/// The transport reports what a client sent wrong as INTERNAL or OUT_OF_RANGE; this product never makes a bare one of these, so here
/// they mean a message that cannot be read, and one that is too large.
#[must_use]
pub fn with_reason(status: Status) -> Status {
    if !status.details().is_empty() {
        return status;
    }
    let failure = match status.code() {
        Code::Internal => Failure::malformed(WHOLE_MESSAGE, format!("cannot be read: {}", status.message())),
        Code::OutOfRange => Failure::too_long(WHOLE_MESSAGE, format!("is too large: {}", status.message())),
        // What else fails in the transport is not known to be harmless: say so rather than guess.
        Code::Unknown => Failure::Internal,
        Code::Unimplemented if status.message().is_empty() => return Status::unimplemented(NO_SUCH_METHOD),
        _ => return status,
    };
    failure.into()
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt;

    use super::*;

    #[test]
    fn what_the_transport_finds_wrong_gets_a_reason() {
        let reason = |status: Status| with_reason(status).get_details_error_info().unwrap().reason;
        let unreadable = Status::new(Code::Internal, "failed to decode Protobuf message");
        assert_eq!(with_reason(unreadable.clone()).code(), Code::InvalidArgument);
        assert_eq!(reason(unreadable), "FIELD_MALFORMED");
        assert_eq!(reason(Status::out_of_range("found 9 bytes, the limit is 8")), "FIELD_TOO_LONG");
        assert_eq!(reason(Status::new(Code::Unknown, "secret")), "INTERNAL");
        assert!(!with_reason(Status::new(Code::Unknown, "secret")).message().contains("secret"));
    }

    #[test]
    fn what_says_everything_is_left_as_it_is() {
        let ours = Status::from(Failure::Internal);
        assert_eq!(with_reason(ours.clone()).details(), ours.details());
        assert_eq!(with_reason(Status::cancelled("gone")).message(), "gone");
        assert_eq!(with_reason(Status::unimplemented("")).message(), NO_SUCH_METHOD);
    }
}
