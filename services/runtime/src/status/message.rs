//! Error messages for people: what happened, the value, what to do.

use super::failure::Failure;

/// Longer texts are truncated: a status is sent in HTTP headers, for which 8 KiB in all is a common limit.
pub(super) const BYTES_MAX: usize = 512;

/// The message of a failure.
pub(super) fn of(failure: &Failure) -> String {
    truncated(match failure {
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
            "{stream_id} is at version {actual}, not at expected_version {expected}: read it again, decide again, and use a new \
             request_id"
        ),
        Failure::Contention { stream_id, expected, actual } => format!(
            "other writers changed {stream_id} several times in a row (last from version {expected} to {actual}): \
             send the command again with the same request_id"
        ),
        Failure::OutcomeUnknown => {
            "the write database did not answer in time, so it is unknown whether the command was stored: \
             send it again with the same request_id, or call GetReceipt"
                .into()
        }
        Failure::WriteUnavailable => {
            "the write database cannot be reached, and this call stored nothing: retry with the same request_id".into()
        }
        Failure::WriteSuspended => {
            "the write database stores nothing until an operator acts, and this call stored nothing: retry later with \
             the same request_id"
                .into()
        }
        Failure::CommandExpired => {
            "the command was queued while the write database was down, and expired before it was \
                                    back: nothing was stored, and nothing will be under this request_id"
                .into()
        }
        Failure::StreamQueued { stream_id } => format!(
            "earlier commands on {stream_id} are queued and have not run yet, and this call stored nothing: retry with the \
             same request_id, or allow it to be queued behind them (options.when_unavailable)"
        ),
        Failure::ViewBehind { view, partition, required, reached } => format!(
            "view {view} has reached position {reached} of partition {partition}, and the token asks for {required}: \
             retry, or omit the token if an older answer is acceptable"
        ),
        Failure::ViewTooOld { partition, required, reached } => {
            let age = reached.map_or_else(
                || "nothing of it is in the views yet".to_owned(),
                |reached| format!("the views are {:.1} s older", required.seconds_since(reached)),
            );
            format!(
                "partition {partition} is older than not_older_than allows ({age}): retry, or allow more if older data \
                 is acceptable"
            )
        }
        Failure::ViewParked { stream_id } => format!(
            "an event of {stream_id} could not be projected, so its rows are not updated: retry after an operator has \
             repaired the stream"
        ),
        Failure::ReadUnavailable => "the read database cannot be reached: retry".into(),
        Failure::Overloaded { what } => {
            format!(
                "{what} is full, and this call stored nothing: retry with the same request_id, and fewer calls at a time"
            )
        }
        Failure::ShuttingDown => {
            "this process is stopping, and this call stored nothing: retry with the same request_id".into()
        }
        Failure::ReceiptNotFound { request_id } => format!(
            "no command with request_id {request_id} is committed or refused yet: if it was sent, send it again with the same request_id"
        ),
        Failure::Internal => {
            "a component failed: report the time of this call to the operator, who finds the cause in the log".into()
        }
        Failure::Refused(refused) => refused.message.clone(),
    })
}

/// The problem of a field; empty if the failure is not about a field.
pub(super) fn problem(failure: &Failure) -> String {
    match failure {
        Failure::FieldMissing { .. } => "is missing: set it".into(),
        Failure::FieldMalformed { problem, .. }
        | Failure::FieldTooLong { problem, .. }
        | Failure::FieldOutOfRange { problem, .. }
        | Failure::TokenInvalid { problem, .. } => truncated(problem.clone()),
        Failure::PageTokenInvalid { .. } => {
            "was not issued by this method: send next_page_token of the previous page with the same other fields, or none"
                .into()
        }
        _ => String::new(),
    }
}

/// The text, truncated to [`BYTES_MAX`].
pub(super) fn truncated(text: String) -> String {
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
