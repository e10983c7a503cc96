//! Waits for changes of progress.

use std::time::Duration;

use tokio::{sync::watch, time::timeout};

/// Counts the saves of this handle and its clones. Saves of other handles are found by polling.
pub(crate) struct ChangeCounter {
    count: watch::Sender<u64>,
    poll_interval: Duration,
}

impl ChangeCounter {
    pub(crate) fn new(poll_interval: Duration) -> Self {
        Self { count: watch::Sender::new(0), poll_interval }
    }

    /// Counts a change, and wakes waiting tasks.
    fn increment(&self) {
        self.count.send_modify(|count| *count += 1);
    }

    /// Counts a change when the returned guard is dropped, however a save ends: one that failed or was dropped may have
    /// happened.
    pub(super) fn increment_on_drop(&self) -> impl Drop + Send {
        struct IncrementOnDrop<'a>(&'a ChangeCounter);
        impl Drop for IncrementOnDrop<'_> {
            fn drop(&mut self) {
                self.0.increment();
            }
        }
        IncrementOnDrop(self)
    }

    /// Waits until the count differs from `seen`, for at most `wait_max` or the poll interval, whichever is longer;
    /// then updates `seen`.
    pub(crate) async fn wait(&self, seen: &mut u64, wait_max: Duration) {
        let mut count = self.count.subscribe();
        // The sender lives as long as `self`, so only the timeout can fail, and the caller polls then.
        let _elapsed = timeout(wait_max.max(self.poll_interval), count.wait_for(|count| count != seen)).await;
        *seen = *self.count.borrow();
    }
}
