//! Reasons for statuses that the transport makes before a service gets the call.

use tonic::{Code, Status};

use crate::Failure;

/// The field name under which an unreadable message is reported.
const WHOLE_MESSAGE: &str = "message";

const UNKNOWN_METHOD: &str = "this process does not serve this method: `grpcurl -plaintext ADDRESS list` lists all \
     services; another process, or the gateway, may serve this one";

/// Adds a reason to a status. A status that has details is returned as it is; so is one whose code is enough, such as
/// UNIMPLEMENTED or CANCELLED.
///
/// The transport reports an invalid message as INTERNAL and a message that is too large as OUT_OF_RANGE. This product
/// itself never makes a status with these codes and without details.
#[must_use]
pub fn with_reason(status: Status) -> Status {
    if !status.details().is_empty() {
        return status;
    }
    let failure = match status.code() {
        Code::Internal => Failure::malformed(WHOLE_MESSAGE, format!("cannot be read: {}", status.message())),
        Code::OutOfRange => Failure::too_long(WHOLE_MESSAGE, format!("is too large: {}", status.message())),
        // The cause of any other failure of the transport is unknown.
        Code::Unknown => Failure::Internal,
        Code::Unimplemented if status.message().is_empty() => return Status::unimplemented(UNKNOWN_METHOD),
        _ => return status,
    };
    failure.into()
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt;

    use super::*;

    #[test]
    fn errors_of_the_transport_get_a_reason() {
        let reason = |status: Status| with_reason(status).get_details_error_info().unwrap().reason;
        let unreadable = Status::new(Code::Internal, "failed to decode Protobuf message");
        assert_eq!(with_reason(unreadable.clone()).code(), Code::InvalidArgument);
        assert_eq!(reason(unreadable), "FIELD_MALFORMED");
        assert_eq!(reason(Status::out_of_range("found 9 bytes, the limit is 8")), "FIELD_TOO_LONG");
        assert_eq!(reason(Status::new(Code::Unknown, "secret")), "INTERNAL");
        assert!(!with_reason(Status::new(Code::Unknown, "secret")).message().contains("secret"));
    }

    #[test]
    fn statuses_with_details_or_a_clear_code_are_unchanged() {
        let ours = Status::from(Failure::Internal);
        assert_eq!(with_reason(ours.clone()).details(), ours.details());
        assert_eq!(with_reason(Status::cancelled("gone")).message(), "gone");
        assert_eq!(with_reason(Status::unimplemented("")).message(), UNKNOWN_METHOD);
    }
}
