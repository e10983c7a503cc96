//! Validates the options of commands.

use std::time::Duration;

use diptych_kernel::ports::Offset;
use diptych_proto::diptych::v1::{CommandOptions, QueueToken, WhenUnavailable};
use diptych_runtime::{Failure, InvalidFields};

use super::field;

const TOKEN_PREFIX: &str = "q";

/// Valid options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) may_queue: bool,
    pub(super) expires_after: Option<Duration>,
    pub(super) after_queued: Option<Offset>,
}

/// Validates options. `None` where `invalid` has recorded a failure.
pub(super) fn validate(options: Option<CommandOptions>, invalid: &mut InvalidFields) -> Option<Options> {
    let Some(options) = options else { return Some(Options::default()) };
    let when_unavailable = WhenUnavailable::try_from(options.when_unavailable).map_err(|_unknown| {
        let problem = format!("is {}, and must be WHEN_UNAVAILABLE_REFUSE or _QUEUE", options.when_unavailable);
        Failure::out_of_range("options.when_unavailable", problem)
    });
    let when_unavailable = invalid.check(when_unavailable);
    let expires_after = options.expires_after.map(|age| field::duration("options.expires_after", age)).transpose();
    let expires_after = invalid.check(expires_after);
    let after_queued = invalid.check(options.after_queued.as_ref().map(token).transpose());
    Some(Options {
        may_queue: when_unavailable? == WhenUnavailable::Queue,
        expires_after: expires_after?,
        after_queued: after_queued?,
    })
}

/// The token of a place in the queue.
pub(in crate::grpc) fn queue_token(offset: Offset) -> QueueToken {
    QueueToken { value: format!("{TOKEN_PREFIX}{}", offset.0) }
}

fn token(token: &QueueToken) -> Result<Offset, Failure> {
    let offset = token.value.strip_prefix(TOKEN_PREFIX).and_then(|offset| offset.parse().ok());
    offset.map(Offset).ok_or_else(|| {
        Failure::malformed("options.after_queued.value", "is not the token of a queued command: send it as received")
    })
}
