//! Rate limiters for repeated log lines.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

/// The shortest time between two lines of the same kind, unless another one is chosen.
const INTERVAL: Duration = Duration::from_secs(10);

/// The number of kinds that are limited separately. Any further kinds share one limiter.
const KINDS_MAX: usize = 64;

/// Rate-limits one repeated log line: the first one passes at once, then one every ten seconds, or at another interval.
#[derive(Clone, Debug)]
pub struct LogLimiter {
    interval: Duration,
    next_at: Option<Instant>,
    suppressed: u64,
}

impl Default for LogLimiter {
    fn default() -> Self {
        Self::every(INTERVAL)
    }
}

impl LogLimiter {
    /// A limiter that lets a line pass once in each interval.
    #[must_use]
    pub fn every(interval: Duration) -> Self {
        Self { interval, next_at: None, suppressed: 0 }
    }

    /// Returns how many lines were suppressed since the last one if a line may be logged now, and `None` if it is to be
    /// suppressed.
    pub fn allow(&mut self) -> Option<u64> {
        let now = Instant::now();
        if self.next_at.is_some_and(|next_at| now < next_at) {
            self.suppressed += 1;
            return None;
        }
        self.next_at = Some(now + self.interval);
        Some(std::mem::take(&mut self.suppressed))
    }

    /// Starts anew, after a success: the next failure is logged at once.
    pub fn reset(&mut self) {
        *self = Self::every(self.interval);
    }
}

/// Rate-limits log lines of many kinds, each kind by a [`LogLimiter`] of its own. Can be shared between threads.
#[derive(Debug, Default)]
pub struct KeyedLogLimiter(Mutex<HashMap<String, LogLimiter>>);

impl KeyedLogLimiter {
    /// [`LogLimiter::allow`] for a line of this kind.
    pub fn allow(&self, kind: &str) -> Option<u64> {
        let mut limiters = self.0.lock();
        if let Some(limiter) = limiters.get_mut(kind) {
            return limiter.allow();
        }
        let kind = if limiters.len() >= KINDS_MAX { "" } else { kind };
        limiters.entry(kind.to_owned()).or_default().allow()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_line_of_a_kind_passes_in_ten_seconds() {
        let limiter = KeyedLogLimiter::default();
        assert_eq!((limiter.allow("a"), limiter.allow("a"), limiter.allow("b")), (Some(0), None, Some(0)));
        tokio::time::advance(INTERVAL).await;
        assert_eq!((limiter.allow("a"), limiter.allow("a")), (Some(1), None));
    }

    #[tokio::test(start_paused = true)]
    async fn kinds_beyond_the_limit_share_one_limiter() {
        let limiter = KeyedLogLimiter::default();
        for kind in 0..KINDS_MAX {
            assert!(limiter.allow(&kind.to_string()).is_some());
        }
        assert_eq!((limiter.allow("more"), limiter.allow("even more")), (Some(0), None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_after_a_success_is_logged_at_once() {
        let mut limiter = LogLimiter::default();
        assert_eq!((limiter.allow(), limiter.allow()), (Some(0), None));
        limiter.reset();
        assert_eq!((limiter.allow(), limiter.allow()), (Some(0), None));
    }
}
