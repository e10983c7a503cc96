//! What a person reads: what happened, the value, and what to do.

use super::Failure;

/// Longer texts are cut: a status travels in HTTP headers, where 8 KiB for all of them is a usual limit.
pub(super) const BYTES_MAX: usize = 512;

/// The message of a failure.
pub(super) fn of(failure: &Failure) -> String {
    shortened(match failure {
        Failure::FieldMissing { field } => format!("{field} is missing: set it"),
        Failure::FieldMalformed { field, .. }
        | Failure::FieldTooLong { field, .. }
        | Failure::FieldOutOfRange { field, .. }
        | Failure::TokenInvalid { field, .. }
        | Failure::PageTokenInvalid { field } => format!("{field} {}", problem(failure)),
        Failure::FieldsInvalid { first, others } => {
            let fields: Vec<String> = std::iter::once(&**first).chain(others).map(of).collect();
            format!("{} fields are invalid: {}", fields.len(), fields.join("; "))
        }
        Failure::RequestIdReused { request_id } => format!(
            "request_id {request_id} was used before for a command with other content: use a new one for a new command"
        ),
        Failure::VersionMismatch { stream_id, expected, actual } => format!(
            "{stream_id} is at version {actual}, not at expected_version {expected}: read it again and decide again"
        ),
        Failure::Contention { stream_id, expected, actual } => format!(
            "other writers changed {stream_id} several times in a row (last from version {expected} to {actual}): \
             send the command again with the same request_id"
        ),
        Failure::OutcomeUnknown => "the write database did not say in time whether the command was stored: send it again \
             with the same request_id, or ask GetReceipt"
            .into(),
        Failure::WriteUnavailable => {
            "the write database cannot be reached and nothing was stored: send the command again with the same request_id"
                .into()
        }
        Failure::ViewBehind { view, partition, required, reached } => format!(
            "view {view} has reached position {reached} of partition {partition}, and the token asks for {required}: \
             ask again, or without the token if an older answer will do"
        ),
        Failure::ViewParked { stream_id } => format!(
            "an event of {stream_id} could not be projected, so its rows stand still: ask again when an operator has \
             seen to it"
        ),
        Failure::ReadUnavailable => "the read database cannot be reached: ask again".into(),
        Failure::Overloaded { what } => {
            format!("{what} is full and nothing was stored: send the call again with the same request_id, and fewer at a time")
        }
        Failure::ShuttingDown => {
            "this process is stopping and nothing was stored: send the call again with the same request_id".into()
        }
        Failure::ReceiptNotFound { request_id } => format!(
            "no command with request_id {request_id} is known: if it was sent, send it again with the same request_id"
        ),
        Failure::Internal => "something inside is broken; the log has the story: tell the operator the time of this call".into(),
        Failure::Refused(refused) => refused.message.clone(),
    })
}

/// What is wrong with a field; empty where the failure is not about one.
pub(super) fn problem(failure: &Failure) -> String {
    match failure {
        Failure::FieldMissing { .. } => "is missing: set it".into(),
        Failure::FieldMalformed { problem, .. }
        | Failure::FieldTooLong { problem, .. }
        | Failure::FieldOutOfRange { problem, .. }
        | Failure::TokenInvalid { problem, .. } => shortened(problem.clone()),
        Failure::PageTokenInvalid { .. } => {
            "is not one that this list gave: send next_page_token of the page before with the same other fields, or none".into()
        }
        _ => String::new(),
    }
}

/// The text, cut at [`BYTES_MAX`].
pub(super) fn shortened(text: String) -> String {
    shortened_to(text, BYTES_MAX)
}

/// The text, cut at `bytes_max`.
pub(super) fn shortened_to(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max));
        text.push('…');
    }
    text
}
