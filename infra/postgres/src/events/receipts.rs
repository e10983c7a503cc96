//! Receipts, built from the events of their requests.

use std::collections::HashMap;

use diptych_kernel::{
    Fingerprint, Position, Receipt, ReceiptStreams, RequestId, StreamReceipt, Timestamp, ports::StoredRequest,
};

use crate::driver::{SqlRow, StatementError};

/// Collects the receipts of requests from rows that come one per event, in no order.
#[derive(Default)]
pub(super) struct RequestReceipts(HashMap<RequestId, RequestEvents>);

struct RequestEvents {
    fingerprint: Fingerprint,
    committed_at: Timestamp,
    events: Vec<StreamReceipt>,
}

impl RequestReceipts {
    /// Adds an event of a request: the event's columns, and the request's fingerprint as `payload`.
    pub(super) fn add(&mut self, row: SqlRow<'_>) -> Result<(), StatementError> {
        let event = StreamReceipt {
            stream_id: row.stream_id("stream_id")?,
            partition: row.partition("partition")?,
            version: row.version("version")?,
            position: row.position("position")?,
        };
        let (fingerprint, committed_at) = (row.fingerprint("payload")?, row.time("recorded_at")?);
        let new = || RequestEvents { fingerprint, committed_at, events: Vec::new() };
        self.0.entry(row.request_id("request_id")?).or_insert_with(new).events.push(event);
        Ok(())
    }

    /// The largest position in any of them.
    pub(super) fn last_position(&self) -> Position {
        let positions = self.0.values().flat_map(|found| &found.events).map(|event| event.position);
        positions.max().unwrap_or(Position::START)
    }

    pub(super) fn into_requests(self) -> Vec<StoredRequest> {
        self.0.into_iter().map(|(request_id, found)| found.into_request(request_id)).collect()
    }
}

impl RequestEvents {
    fn into_request(mut self, request_id: RequestId) -> StoredRequest {
        self.events.sort_by_key(|event| event.position);
        let mut streams = ReceiptStreams::default();
        for event in self.events {
            streams.add_event(event);
        }
        let receipt = Receipt { request_id, streams: streams.into_vec(), committed_at: self.committed_at };
        StoredRequest { fingerprint: self.fingerprint, receipt }
    }
}
