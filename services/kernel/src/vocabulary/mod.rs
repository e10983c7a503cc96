//! Vocabulary: newtypes for numbers and names, validated on construction.

mod checksum;
mod event;
mod history;
mod partition;
mod position;
mod receipt;
mod request;
mod stream;
mod time;
mod token;
mod token_codec;
mod token_issuer;

pub use checksum::Checksum;
pub use event::{EventIdentity, EventMetadata, EventTypeInterner, NewEvent, RecordedEvent};
pub use history::{History, HistoryComparison, HistoryError, HistoryId, HistorySpan, Installation};
pub use partition::{Partition, Partitions, PartitionsError, murmur2};
pub use position::{ORDINAL_BITS, Position, PositionError};
pub use receipt::{Receipt, ReceiptStreams, StreamReceipt};
pub use request::{Fingerprint, RequestId, RequestIdError};
pub use stream::{StreamId, StreamIdError, Version};
pub use time::{Clock, Timestamp};
pub use token::{Token, TokenError};
pub use token_codec::{TokenCodec, TokenCodecError};
pub use token_issuer::{TokenIssuer, TokenKey};
