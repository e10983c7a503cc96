//! Says a thing that repeats itself now and then, and how often it was left out.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

/// How often the same kind of message is logged.
const INTERVAL: Duration = Duration::from_secs(10);

/// More kinds than this are taken for one.
const KINDS_MAX: usize = 64;

/// One message of each kind every ten seconds.
#[derive(Debug, Default)]
pub(crate) struct LogLimit(Mutex<HashMap<String, Kind>>);

#[derive(Debug)]
struct Kind {
    next: Instant,
    left_out: u64,
}

impl LogLimit {
    /// How many of this kind were left out before, if one may be logged now.
    pub(crate) fn allows(&self, kind: &str) -> Option<u64> {
        let now = Instant::now();
        let mut kinds = self.0.lock();
        let kind = if kinds.len() >= KINDS_MAX && !kinds.contains_key(kind) { "" } else { kind };
        match kinds.get_mut(kind) {
            Some(known) if now < known.next => {
                known.left_out += 1;
                None
            }
            Some(known) => {
                known.next = now + INTERVAL;
                Some(std::mem::take(&mut known.left_out))
            }
            None => {
                kinds.insert(kind.to_owned(), Kind { next: now + INTERVAL, left_out: 0 });
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_of_a_kind_in_ten_seconds() {
        let limit = LogLimit::default();
        assert_eq!((limit.allows("a"), limit.allows("a"), limit.allows("b")), (Some(0), None, Some(0)));
        tokio::time::advance(INTERVAL).await;
        assert_eq!((limit.allows("a"), limit.allows("a")), (Some(1), None));
    }

    #[tokio::test(start_paused = true)]
    async fn kinds_beyond_the_limit_share_one_place() {
        let limit = LogLimit::default();
        for kind in 0..KINDS_MAX {
            assert!(limit.allows(&kind.to_string()).is_some());
        }
        assert_eq!((limit.allows("more"), limit.allows("even more")), (Some(0), None));
    }
}
