//! Conversions from kernel types to proto messages.

use diptych_command::{Executed, ExpectedOutcome, QueuedReceipt, StoredCommand};
use diptych_kernel::{Receipt, RequestId, Token, vocabulary::TokenIssuer};
use diptych_proto::diptych::v1::{self, queued_command::Expected};

use super::{status, validate};
use crate::{domain::Refusal, timestamp};

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
        queued: None,
    }
}

/// The receipt of a queued command.
pub(super) fn queued_receipt(request_id: RequestId, queued: QueuedReceipt<Refusal>) -> v1::Receipt {
    let expected = queued.expected.map(|expected| match expected {
        ExpectedOutcome::Committed => Expected::Commit(true),
        ExpectedOutcome::Refused(error) => Expected::Refusal(status::rpc_status(&status::command_failure(*error))),
    });
    v1::Receipt {
        request_id: request_id.to_string(),
        outcome: v1::Outcome::Queued.into(),
        queued: Some(v1::QueuedCommand { token: Some(validate::queue_token(queued.offset)), expected }),
        ..v1::Receipt::default()
    }
}

/// The receipt of a command, and whether an earlier call had stored it.
pub(super) fn executed(
    request_id: RequestId,
    executed: Executed<Refusal>,
    tokens: &TokenIssuer,
) -> (v1::Receipt, bool) {
    match executed {
        Executed::Stored(StoredCommand { receipt: stored, repeated }) => (receipt(&stored, tokens), repeated),
        Executed::Queued(queued) => (queued_receipt(request_id, queued), false),
    }
}

/// A consistency token.
pub(super) fn token(token: &Token, tokens: &TokenIssuer) -> v1::ConsistencyToken {
    v1::ConsistencyToken { value: tokens.encode(token) }
}
