//! Receipts.

use super::{Partition, Position, RequestId, StreamId, Timestamp, Token, Version};

/// The proof that a command was stored. The same command gets the same receipt, to the byte, for as long as request ids are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The command.
    pub request_id: RequestId,
    /// The streams that it wrote to, in the order in which it touched them first.
    pub streams: Vec<StreamReceipt>,
    /// When the write database recorded it.
    pub committed_at: Timestamp,
}

/// What a command did to one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamReceipt {
    /// The stream.
    pub stream_id: StreamId,
    /// Its partition.
    pub partition: Partition,
    /// Its version after the command.
    pub version: Version,
    /// The position of the command's last event in it.
    pub position: Position,
}

impl Receipt {
    /// The token of the command: for every partition that it wrote to, its last position there.
    #[must_use]
    pub fn token(&self) -> Token {
        self.streams.iter().map(|stream| (stream.partition, stream.position)).collect()
    }
}

/// Collects the streams of a receipt from the events of a request: one entry per stream, in the order in which the request first wrote
/// to them, each with the last event there.
#[derive(Debug, Default)]
pub struct ReceiptStreams(Vec<StreamReceipt>);

impl ReceiptStreams {
    /// Adds the next event of the request, in order of position. The search is linear, because a request writes to few streams.
    pub fn add_event(&mut self, event: StreamReceipt) {
        match self.0.iter_mut().find(|known| known.stream_id == event.stream_id) {
            Some(known) => *known = event,
            None => self.0.push(event),
        }
    }

    /// Returns the streams, as a [`Receipt`] holds them.
    #[must_use]
    pub fn into_vec(self) -> Vec<StreamReceipt> {
        self.0
    }
}
