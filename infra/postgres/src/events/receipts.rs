//! Outcomes of stored requests: refusals, and receipts, which are built from the events of their requests.

use std::collections::HashMap;

use bytes::Bytes;
use diptych_kernel::{
    Fingerprint, Position, Receipt, ReceiptStreams, RequestId, StreamReceipt, Timestamp,
    ports::{StoredOutcome, StoredRequest},
};

use crate::driver::{SqlRow, StatementError};

/// Collects the outcomes of requests from rows that come one per event, in no order, and one per refusal.
#[derive(Default)]
pub(super) struct RequestOutcomes {
    committed: HashMap<RequestId, RequestEvents>,
    refused: Vec<StoredRequest>,
    last_position: Position,
}

struct RequestEvents {
    fingerprint: Fingerprint,
    committed_at: Timestamp,
    events: Vec<StreamReceipt>,
}

impl RequestOutcomes {
    /// Adds a refusal, or an event of a request: the event's columns, and the request's fingerprint as `payload`.
    pub(super) fn add(&mut self, row: SqlRow<'_>) -> Result<(), StatementError> {
        let (request_id, fingerprint) = (row.request_id("request_id")?, row.fingerprint("payload")?);
        self.last_position = self.last_position.max(row.position("position")?);
        if let Some(refusal) = row.get::<Option<&[u8]>>("refusal")? {
            let outcome = StoredOutcome::Refused(Bytes::copy_from_slice(refusal));
            self.refused.push(StoredRequest { request_id, fingerprint, outcome });
            return Ok(());
        }
        let event = StreamReceipt {
            stream_id: row.stream_id("stream_id")?,
            partition: row.partition("partition")?,
            version: row.version("version")?,
            position: row.position("position")?,
        };
        let committed_at = row.time("recorded_at")?;
        let new = || RequestEvents { fingerprint, committed_at, events: Vec::new() };
        self.committed.entry(request_id).or_insert_with(new).events.push(event);
        Ok(())
    }

    /// The largest position in any of them.
    pub(super) fn last_position(&self) -> Position {
        self.last_position
    }

    pub(super) fn into_requests(self) -> Vec<StoredRequest> {
        let committed = self.committed.into_iter().map(|(request_id, found)| found.into_request(request_id));
        committed.chain(self.refused).collect()
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
        StoredRequest::committed(self.fingerprint, receipt)
    }
}
