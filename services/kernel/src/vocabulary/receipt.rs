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
