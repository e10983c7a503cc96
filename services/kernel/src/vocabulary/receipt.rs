//! Receipts of stored commands.

use super::{Partition, Position, RequestId, StreamId, Timestamp, Token, Version};

/// Proof that a command was stored. A repeated command gets the same receipt, byte for byte, as long as its request id
/// is retained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Identifies the command.
    pub request_id: RequestId,
    /// The streams that the command wrote to, in the order in which it first wrote to them.
    pub streams: Vec<StreamReceipt>,
    /// Time at which the write database recorded the command.
    pub committed_at: Timestamp,
}

/// Result of a command in one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamReceipt {
    /// The stream.
    pub stream_id: StreamId,
    /// The stream's partition.
    pub partition: Partition,
    /// The stream's version after the command.
    pub version: Version,
    /// The position of the command's last event in the stream.
    pub position: Position,
}

impl Receipt {
    /// Returns the command's consistency token: for every partition that it wrote to, its last position there.
    #[must_use]
    pub fn token(&self) -> Token {
        self.streams.iter().map(|stream| (stream.partition, stream.position)).collect()
    }
}

/// Collects the streams of a receipt from the events of a request: one entry per stream, in the order in which the
/// request first wrote to them, each with the last event there.
#[derive(Debug, Default)]
pub struct ReceiptStreams(Vec<StreamReceipt>);

impl ReceiptStreams {
    /// Adds the next event of the request, in order of position. The search is linear, because a request writes to few
    /// streams.
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
