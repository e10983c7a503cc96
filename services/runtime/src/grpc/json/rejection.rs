//! [`Rejection`]: the refusal of an HTTP request that reaches no method.

use http::StatusCode;
use tonic::Code;

/// Status and message for an HTTP request that reaches no method.
#[derive(Debug)]
pub(super) struct Rejection {
    pub(super) http: StatusCode,
    pub(super) code: Code,
    pub(super) message: String,
}

impl Rejection {
    /// A rejection of a request that is not as the method needs it.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self { http: StatusCode::BAD_REQUEST, code: Code::InvalidArgument, message: message.into() }
    }
}
