//! Failures of calls and their gRPC statuses. [`table`] maps each failure to its reason and gRPC code.

mod details;
mod failure;
mod invalid_fields;
mod message;
mod table;
#[cfg(test)]
mod tests;

use diptych_proto::google::rpc;
use tonic::{Status, metadata::MetadataValue};

pub use failure::{DomainRefusal, Failure};
pub use invalid_fields::InvalidFields;
pub(crate) use table::{DOMAIN, reason_name};

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

impl Failure {
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

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        failure.to_tonic_status(&failure.to_rpc_status())
    }
}
