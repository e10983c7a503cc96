//! [`Rejection`]: the refusal of an HTTP request that reaches no method.

use diptych_proto::diptych::v1::ErrorReason as Reason;
use http::StatusCode;
use serde_json::{Value, json};
use tonic::Code;

use crate::status::{DOMAIN, reason_name};

/// Status, message and reason for an HTTP request that reaches no method.
#[derive(Debug)]
pub(super) struct Rejection {
    pub(super) http: StatusCode,
    pub(super) code: Code,
    pub(super) message: String,
    reason: Reason,
    /// The field that the reason is about.
    field: Option<String>,
}

impl Rejection {
    /// A rejection of a body that cannot be read as the request of the method.
    pub(super) fn body(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Reason::BodyMalformed, message)
    }

    /// A rejection of a body that a browser sent with the content type of a form.
    pub(super) fn content_type(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Reason::BodyMalformed, message)
    }

    /// A rejection of a body that is larger than allowed; gRPC has the same reason for a message that is.
    pub(super) fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, Reason::FieldTooLong, message)
    }

    /// A rejection of a field.
    pub(super) fn field(reason: Reason, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..Self::new(StatusCode::BAD_REQUEST, reason, message) }
    }

    /// A rejection of a path that belongs to no method.
    pub(super) fn unknown_path(message: impl Into<String>) -> Self {
        Self { code: Code::NotFound, ..Self::new(StatusCode::NOT_FOUND, Reason::PathUnknown, message) }
    }

    fn new(http: StatusCode, reason: Reason, message: impl Into<String>) -> Self {
        Self { http, code: Code::InvalidArgument, message: message.into(), reason, field: None }
    }

    /// The details of the status: ErrorInfo, and BadRequest for a field, as the services send them.
    pub(super) fn details(&self) -> Value {
        let reason = reason_name(self.reason);
        let mut info = json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "domain": DOMAIN, "reason": reason});
        let Some(field) = &self.field else {
            return json!([info]);
        };
        info["metadata"] = json!({"field": field});
        let violation = json!({"field": field, "description": self.message, "reason": reason});
        json!([info, {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}])
    }
}
