//! Says a thing that repeats itself now and then.

use std::time::Duration;

use tokio::time::Instant;

/// How often a failure that goes on is logged.
const INTERVAL: Duration = Duration::from_secs(10);

/// Lets the first of a row of messages through, then one every ten seconds.
#[derive(Debug, Default)]
pub(crate) struct LogLimit {
    next: Option<Instant>,
}

impl LogLimit {
    /// Whether to log now.
    pub(crate) fn allows(&mut self) -> bool {
        let now = Instant::now();
        let allowed = self.next.is_none_or(|next| next <= now);
        if allowed {
            self.next = Some(now + INTERVAL);
        }
        allowed
    }

    /// What failed works again: the next failure is a new story.
    pub(crate) fn reset(&mut self) {
        self.next = None;
    }
}
