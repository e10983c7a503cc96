//! Owner of a lease: one process, by its instance name and a random number.

use std::hash::{BuildHasher, Hasher, RandomState};

use diptych_kernel::Timestamp;
use diptych_runtime::LogLimiter;

/// Separates the instance name from the number. Not allowed in instance names.
const SEPARATOR: char = '#';

/// Owner of a lease. Every start of a process has another one, so that two processes with one instance name never take
/// the other's leadership for their own.
#[derive(Debug)]
pub(crate) struct LeaseOwner {
    instance: String,
    text: String,
}

impl LeaseOwner {
    /// Creates the owner for this start of a process.
    pub(crate) fn new(instance: &str) -> Self {
        // Every RandomState has other keys.
        let number = RandomState::new().build_hasher().finish();
        Self { instance: instance.to_owned(), text: format!("{instance}{SEPARATOR}{number:016x}") }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns whether another owner is a process with the same instance name.
    fn has_instance_of(&self, other: &str) -> bool {
        other != self.text && other.rsplit_once(SEPARATOR).is_some_and(|(instance, _)| instance == self.instance)
    }
}

/// Detects a leader with this process's instance name that is alive. After a restart, the lease of the process before
/// is still there for a while; a lease that is extended belongs to a process that runs now.
#[derive(Debug, Default)]
pub(crate) struct TwinDetector {
    last_seen: Option<(String, Timestamp)>,
    log: LogLimiter,
}

impl TwinDetector {
    /// Looks at the lease of another owner, and logs a warning if it is a twin, rate-limited. Returns whether it is.
    pub(crate) fn look(&mut self, own: &LeaseOwner, leader: &str, expires_at: Timestamp) -> bool {
        let is_extended = self.last_seen.as_ref().is_some_and(|(owner, last)| owner == leader && expires_at > *last);
        let is_twin = is_extended && own.has_instance_of(leader);
        if is_twin && self.log.allow().is_some() {
            tracing::warn!(
                instance_name = own.instance,
                leader,
                "another process with the same instance name leads; this one stands by. Give each process its own \
                 name: --instance, or DIPTYCH_INSTANCE"
            );
        }
        self.last_seen = Some((leader.to_owned(), expires_at));
        is_twin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn each_start_of_a_process_is_another_owner() {
        let (first, second) = (LeaseOwner::new("relay-1"), LeaseOwner::new("relay-1"));
        assert_ne!(first.as_str(), second.as_str());
        assert!(first.as_str().starts_with("relay-1#"), "{}", first.as_str());
    }

    #[test]
    fn a_leader_with_the_same_instance_name_that_extends_its_lease_is_a_twin() {
        let (own, twin) = (LeaseOwner::new("relay-1"), LeaseOwner::new("relay-1"));
        let mut detector = TwinDetector::default();
        assert!(!detector.look(&own, twin.as_str(), at(10)), "it may be the process before a restart");
        assert!(!detector.look(&own, twin.as_str(), at(10)));
        assert!(detector.look(&own, twin.as_str(), at(11)));
    }

    #[test]
    fn a_leader_with_another_instance_name_is_no_twin() {
        let (own, other) = (LeaseOwner::new("relay-1"), LeaseOwner::new("relay-10"));
        let mut detector = TwinDetector::default();
        for seconds in 10..20 {
            assert!(!detector.look(&own, other.as_str(), at(seconds)));
        }
    }
}
