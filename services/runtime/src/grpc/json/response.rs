//! From the gRPC response of a method to an HTTP response.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};
use serde_json::{Serializer, Value};
use tonic::{Code, Status, body::Body};

use super::{rejection::Rejection, routes::Route};

/// A gRPC message on the wire: one byte for compression, four for its length, then its bytes.
pub(super) const FRAME_HEADER_BYTES: usize = 5;

/// Converts the response of a method. Its status becomes the HTTP status and, unless it is OK, the body.
pub(super) async fn json(
    pool: &DescriptorPool,
    route: &Route,
    response: Response<Body>,
    bytes_max: usize,
) -> Response<Body> {
    let status = Status::from_header_map(response.headers());
    let answered = match status {
        Some(status) if status.code() != Code::Ok => Err(status),
        _ => message(response.into_body(), bytes_max).await,
    };
    let written = answered.and_then(|bytes| print(&route.method.output(), &bytes).map_err(Status::data_loss));
    match written {
        Ok(body) => respond(StatusCode::OK, body),
        Err(status) => {
            let body = error_body(status.code(), status.message(), &details(pool, &status));
            respond(http_status(status.code()), body)
        }
    }
}

/// The answer to a request that reached no method.
pub(super) fn rejected(rejection: &Rejection) -> Response<Body> {
    respond(rejection.http, error_body(rejection.code, &rejection.message, &rejection.details()))
}

async fn message(body: Body, bytes_max: usize) -> Result<Bytes, Status> {
    let collected = Limited::new(body, bytes_max.saturating_add(FRAME_HEADER_BYTES)).collect().await;
    let collected = collected.map_err(|error| Status::data_loss(format!("the answer cannot be read: {error}")))?;
    if let Some(status) =
        collected.trailers().and_then(Status::from_header_map).filter(|status| status.code() != Code::Ok)
    {
        return Err(status);
    }
    let frame = collected.to_bytes();
    if frame.len() < FRAME_HEADER_BYTES {
        return Err(Status::data_loss("the method answered without a message"));
    }
    Ok(frame.slice(FRAME_HEADER_BYTES..))
}

/// The message as JSON, its fields in the order of their numbers. Unset scalar fields are printed: a balance of zero is
/// a number, not a missing field.
fn print(descriptor: &MessageDescriptor, bytes: &Bytes) -> Result<Vec<u8>, String> {
    let message = DynamicMessage::decode(descriptor.clone(), bytes.clone())
        .map_err(|error| format!("the answer cannot be decoded: {error}"))?;
    let options = SerializeOptions::new().skip_default_fields(false);
    let mut written = Vec::new();
    message
        .serialize_with_options(&mut Serializer::new(&mut written), &options)
        .map_err(|error| format!("the answer has no form in JSON: {error}"))?;
    Ok(line(written))
}

/// A `google.rpc.Status`.
fn error_body(code: Code, message: &str, details: &Value) -> Vec<u8> {
    let (code, message) = (code as i32, Value::from(message));
    line(format!(r#"{{"code":{code},"message":{message},"details":{details}}}"#).into_bytes())
}

/// The details that the service sent with a status; an empty list if it sent none or they cannot be converted. Their
/// fields are in alphabetical order: the metadata of an error has no order of its own, and the same error must always
/// have the same text.
fn details(pool: &DescriptorPool, status: &Status) -> Value {
    let whole = pool.get_message_by_name("google.rpc.Status");
    let whole = whole.and_then(|descriptor| DynamicMessage::decode(descriptor, status.details()).ok());
    let value = whole
        .and_then(|whole| whole.serialize_with_options(serde_json::value::Serializer, &SerializeOptions::new()).ok());
    value.as_ref().and_then(|value| value.get("details")).cloned().unwrap_or_else(|| Value::Array(Vec::new()))
}

/// On one line, with a line feed, so that a shell's prompt does not follow on it.
fn line(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.push(b'\n');
    bytes
}

fn respond(status: StatusCode, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The mapping of `google/rpc/code.proto`.
fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        // "Client closed request", which has no name in the registry.
        Code::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
