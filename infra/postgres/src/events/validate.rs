//! Validates batches before they are sent.

use std::collections::{HashMap, HashSet};

use diptych_kernel::{
    Version,
    ports::{AppendUnit, PortError, PortResult, REFUSAL_BYTES_MAX, RefusalUnit},
    vocabulary::ORDINAL_BITS,
};

/// Returns an error if the batch breaks the contract of `append`.
pub(super) fn validate(units: &[AppendUnit]) -> PortResult<()> {
    if units.is_empty() {
        return Err(PortError::operator("a batch has no units"));
    }
    AppendUnit::check_sizes(units)?;
    let (mut requests, mut versions, mut events_count) = (HashSet::new(), HashMap::new(), 0_usize);
    for unit in units {
        if unit.events.is_empty() || !requests.insert(unit.request_id) {
            let message = format!("request {} has no events or occurs twice in its batch", unit.request_id);
            return Err(PortError::operator(message));
        }
        events_count += unit.events.len();
        for event in &unit.events {
            let before = versions.insert(&event.stream_id, event.version);
            if event.version == Version::NONE || before.is_some_and(|before| !follows(before, event.version)) {
                return Err(PortError::operator(format!(
                    "version {} of stream {} does not follow the one before it in the batch",
                    event.version, event.stream_id
                )));
            }
        }
    }
    if events_count > 1 << ORDINAL_BITS {
        return Err(PortError::operator(format!(
            "a batch has {events_count} events: at most {} fit in one transaction",
            1 << ORDINAL_BITS
        )));
    }
    Ok(())
}

/// Returns an error if the refusals break the contract of `refuse`.
pub(super) fn validate_refusals(refusals: &[RefusalUnit]) -> PortResult<()> {
    let mut requests = HashSet::new();
    for RefusalUnit { request_id, streams, refusal, .. } in refusals {
        if streams.is_empty() || refusal.len() > REFUSAL_BYTES_MAX || !requests.insert(request_id) {
            return Err(PortError::operator(format!(
                "the refusal of request {request_id} names no stream, occurs twice, or has {} bytes: at most \
                 {REFUSAL_BYTES_MAX} are stored",
                refusal.len()
            )));
        }
    }
    Ok(())
}

/// Returns whether `next` is one more than `before`; nothing follows the largest version.
fn follows(before: Version, next: Version) -> bool {
    before.number().checked_add(1) == Some(next.number())
}
