//! Receipts, put together from the events of their requests.

use std::collections::HashMap;

use diptych_kernel::{Fingerprint, Position, Receipt, RequestId, StreamReceipt, Timestamp, ports::StoredRequest};

use crate::wire::{Row, Trouble};

/// The streams of a request in the order in which it touched them first, each with its last event there.
#[derive(Default)]
pub(super) struct Touched(Vec<StreamReceipt>);

impl Touched {
    /// Adds the next event of the request. A request touches few streams, so looking through them is fast.
    pub(super) fn touch(&mut self, event: StreamReceipt) {
        match self.0.iter_mut().find(|known| known.stream_id == event.stream_id) {
            Some(known) => *known = event,
            None => self.0.push(event),
        }
    }

    pub(super) fn into_receipts(self) -> Vec<StreamReceipt> {
        self.0
    }
}

/// Requests that were found, on their way to receipts. Rows come one per event, in no order.
#[derive(Default)]
pub(super) struct Receipts(HashMap<RequestId, Found>);

struct Found {
    fingerprint: Fingerprint,
    committed_at: Timestamp,
    events: Vec<StreamReceipt>,
}

impl Receipts {
    /// Adds an event of a request: its columns, and the request's fingerprint as `payload`.
    pub(super) fn add(&mut self, row: Row<'_>) -> Result<(), Trouble> {
        let event = StreamReceipt {
            stream_id: row.stream_id("stream_id")?,
            partition: row.partition("partition")?,
            version: row.version("version")?,
            position: row.position("position")?,
        };
        let (fingerprint, committed_at) = (row.fingerprint("payload")?, row.time("recorded_at")?);
        let new = || Found { fingerprint, committed_at, events: Vec::new() };
        self.0.entry(row.request_id("request_id")?).or_insert_with(new).events.push(event);
        Ok(())
    }

    /// The last position that any of them tells.
    pub(super) fn newest(&self) -> Position {
        let positions = self.0.values().flat_map(|found| &found.events).map(|event| event.position);
        positions.max().unwrap_or(Position::START)
    }

    pub(super) fn into_requests(self) -> Vec<StoredRequest> {
        self.0.into_iter().map(|(request_id, found)| found.into_request(request_id)).collect()
    }
}

impl Found {
    fn into_request(mut self, request_id: RequestId) -> StoredRequest {
        self.events.sort_by_key(|event| event.position);
        let mut streams = Touched::default();
        for event in self.events {
            streams.touch(event);
        }
        let receipt = Receipt { request_id, streams: streams.into_receipts(), committed_at: self.committed_at };
        StoredRequest { fingerprint: self.fingerprint, receipt }
    }
}
