//! How many calls wait for progress.

use tokio::sync::watch;

/// Counts the calls that wait. Every clone is the same count.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiters {
    count: watch::Sender<usize>,
}

/// A call that waits, until it is dropped.
#[must_use]
pub(super) struct Waiting(watch::Sender<usize>);

impl Waiters {
    /// Counts one more for as long as what is returned lives.
    pub(super) fn enter(&self) -> Waiting {
        // Only the first is news: for those after it the follower looks often already.
        self.count.send_if_modified(|count| {
            *count += 1;
            *count == 1
        });
        Waiting(self.count.clone())
    }

    pub(super) fn is_empty(&self) -> bool {
        *self.count.borrow() == 0
    }

    /// Returns when somebody waits, at once if somebody does.
    pub(super) async fn somebody(&self) {
        let mut count = self.count.subscribe();
        // The sender is ours, so it is not gone.
        let _ = count.wait_for(|count| *count > 0).await;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.send_if_modified(|count| {
            *count -= 1;
            false
        });
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn those_who_wait_are_counted_until_they_are_gone() {
        let waiters = Waiters::default();
        let mut somebody = Box::pin(waiters.somebody());
        assert!(waiters.is_empty() && somebody.as_mut().now_or_never().is_none());
        let (one, other) = (waiters.enter(), waiters.enter());
        assert!(!waiters.is_empty() && somebody.now_or_never().is_some());
        drop(one);
        assert!(waiters.somebody().now_or_never().is_some(), "the other still waits");
        drop(other);
        assert!(waiters.is_empty() && waiters.somebody().now_or_never().is_none());
    }
}
