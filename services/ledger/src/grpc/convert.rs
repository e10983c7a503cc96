//! Conversions from kernel types to proto messages.

use diptych_kernel::{Receipt, Token, vocabulary::TokenIssuer};
use diptych_proto::diptych::v1;

use crate::timestamp;

/// The receipt of a committed command.
pub(super) fn receipt(receipt: &Receipt, tokens: &TokenIssuer) -> v1::Receipt {
    let streams = receipt.streams.iter().map(|stream| v1::StreamVersion {
        stream_id: stream.stream_id.to_string(),
        version: i64::from(stream.version.number()),
    });
    v1::Receipt {
        request_id: receipt.request_id.to_string(),
        outcome: v1::Outcome::Committed.into(),
        written_at: Some(token(&receipt.token(), tokens)),
        streams: streams.collect(),
        commit_time: Some(timestamp::to_proto(receipt.committed_at)),
    }
}

/// A consistency token.
pub(super) fn token(token: &Token, tokens: &TokenIssuer) -> v1::ConsistencyToken {
    v1::ConsistencyToken { value: tokens.encode(token) }
}
