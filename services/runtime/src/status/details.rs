//! Error details for programs (`google.rpc`).

use std::{iter, time::Duration};

use diptych_kernel::Timestamp;
use diptych_proto::google::rpc::{BadRequest, ErrorInfo, ResourceInfo, RetryInfo, bad_request::FieldViolation};
use prost::Message;
use prost_types::Any;

use super::{
    failure::Failure,
    message,
    table::{self, DOMAIN},
};

/// Maximum length of one description where several fields are invalid.
const DESCRIPTION_BYTES_MAX: usize = 160;

/// Maximum length of all field violations together: a status travels in HTTP headers. Ten violations of any command
/// fit.
const FIELD_VIOLATIONS_BYTES_MAX: usize = 3_072;

/// The details of a failure: ErrorInfo always; BadRequest for an invalid field; RetryInfo if a retry may succeed;
/// ResourceInfo for a failure of one resource.
pub(super) fn of(failure: &Failure) -> Vec<Any> {
    let mut details = vec![any("google.rpc.ErrorInfo", &error_info(failure))];
    let field_violations = field_violations(failure);
    if !field_violations.is_empty() {
        details.push(any("google.rpc.BadRequest", &BadRequest { field_violations }));
    }
    if let Some(delay) = table::row_of(failure).retry_after() {
        details.push(any("google.rpc.RetryInfo", &RetryInfo { retry_delay: Some(proto_duration(delay)) }));
    }
    if let Some((kind, name)) = resource(failure) {
        let resource = ResourceInfo { resource_type: kind.to_owned(), resource_name: name, ..ResourceInfo::default() };
        details.push(any("google.rpc.ResourceInfo", &resource));
    }
    details
}

/// The invalid fields. Of more than [`FIELD_VIOLATIONS_BYTES_MAX`], the first ones that fit.
fn field_violations(failure: &Failure) -> Vec<FieldViolation> {
    let Failure::FieldsInvalid { first, others } = failure else {
        return violation(failure, message::BYTES_MAX).into_iter().collect();
    };
    let all = iter::once(&**first).chain(others).filter_map(|failure| violation(failure, DESCRIPTION_BYTES_MAX));
    let mut bytes = 0;
    all.take_while(|violation| {
        bytes += violation.encoded_len();
        bytes <= FIELD_VIOLATIONS_BYTES_MAX
    })
    .collect()
}

fn violation(failure: &Failure, description_bytes_max: usize) -> Option<FieldViolation> {
    let field = field(failure)?.to_owned();
    let description = message::shortened_to(message::problem(failure), description_bytes_max);
    Some(FieldViolation { field, description, reason: failure.reason().to_owned(), localized_message: None })
}

fn error_info(failure: &Failure) -> ErrorInfo {
    let domain = match failure {
        Failure::Refused(refused) => refused.domain,
        _ => DOMAIN,
    };
    let metadata = metadata(failure).into_iter().map(|(key, value)| (key.to_owned(), message::truncated(value)));
    ErrorInfo { reason: failure.reason().to_owned(), domain: domain.to_owned(), metadata: metadata.collect() }
}

/// The values of `ErrorInfo.metadata`, by the names in the comments of `error_reason.proto`.
fn metadata(failure: &Failure) -> Vec<(&'static str, String)> {
    match failure {
        Failure::RequestIdReused { request_id } | Failure::ReceiptNotFound { request_id } => {
            vec![("request_id", request_id.to_string())]
        }
        Failure::VersionMismatch { stream_id, expected, actual }
        | Failure::Contention { stream_id, expected, actual } => vec![
            ("stream_id", stream_id.to_string()),
            ("expected_version", expected.to_string()),
            ("actual_version", actual.to_string()),
        ],
        Failure::ViewBehind { view, partition, required, reached } => vec![
            ("view", view.to_string()),
            ("partition", partition.to_string()),
            ("required_position", required.to_string()),
            ("reached_position", reached.to_string()),
        ],
        Failure::ViewTooOld { partition, required, reached } => {
            let mut values = vec![("partition", partition.to_string()), ("required_time", rfc_3339(*required))];
            values.extend(reached.map(|reached| ("reached_time", rfc_3339(reached))));
            values
        }
        Failure::ViewParked { stream_id } | Failure::StreamQueued { stream_id } => {
            vec![("stream_id", stream_id.to_string())]
        }
        Failure::Overloaded { what } => vec![("what", (*what).to_owned())],
        Failure::Refused(refused) => refused.metadata.clone(),
        Failure::FieldsInvalid { first, .. } => metadata(first),
        _ => field(failure).map(|field| ("field", field.to_owned())).into_iter().collect(),
    }
}

fn field(failure: &Failure) -> Option<&str> {
    match failure {
        Failure::FieldMissing { field }
        | Failure::FieldMalformed { field, .. }
        | Failure::FieldTooLong { field, .. }
        | Failure::FieldOutOfRange { field, .. }
        | Failure::TokenInvalid { field, .. }
        | Failure::PageTokenInvalid { field } => Some(field),
        _ => None,
    }
}

fn resource(failure: &Failure) -> Option<(&'static str, String)> {
    match failure {
        Failure::VersionMismatch { stream_id, .. }
        | Failure::Contention { stream_id, .. }
        | Failure::StreamQueued { stream_id }
        | Failure::ViewParked { stream_id } => Some(("stream", stream_id.to_string())),
        Failure::ReceiptNotFound { request_id } => Some(("receipt", request_id.to_string())),
        _ => None,
    }
}

fn any(full_name: &str, message: &impl Message) -> Any {
    Any { type_url: format!("type.googleapis.com/{full_name}"), value: message.encode_to_vec() }
}

/// A time as JSON has it, such as 2026-01-31T12:00:00Z.
fn rfc_3339(time: Timestamp) -> String {
    let (seconds, nanos) = time.seconds_and_nanos();
    prost_types::Timestamp { seconds, nanos }.to_string()
}

fn proto_duration(duration: Duration) -> prost_types::Duration {
    // Delays are written in the table, in milliseconds, and fit.
    prost_types::Duration::try_from(duration).unwrap_or_default()
}
