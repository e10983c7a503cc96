//! Helpers that the folds of all views share.

use diptych_kernel::{
    RecordedEvent,
    domain::{DecodedEvent, FoldError, ViewId},
};
use prost::Message;

use crate::{
    domain::{AccountId, Event},
    timestamp,
};

/// Returns the id of the account of an event; `None` for a stream that is not an account, which concerns no row.
pub(super) fn account_id_of(record: &RecordedEvent) -> Option<AccountId> {
    AccountId::of_stream(&record.stream_id)
}

/// The error of a fold, for the view's operator.
pub(super) fn fold_error(view: ViewId, event: DecodedEvent<'_, Event>, reason: impl Into<String>) -> FoldError {
    FoldError { view, event_type: event.record.event_type.to_string(), reason: reason.into() }
}

/// Decodes the row that an event is folded into.
pub(super) fn decode_row<M: Message + Default>(
    view: ViewId,
    event: DecodedEvent<'_, Event>,
    row: &[u8],
) -> Result<M, FoldError> {
    M::decode(row).map_err(|error| fold_error(view, event, format!("its row cannot be decoded: {error}")))
}

/// Returns the time at which an event was recorded.
pub(super) fn record_time(record: &RecordedEvent) -> prost_types::Timestamp {
    timestamp::to_proto(record.recorded_at)
}
