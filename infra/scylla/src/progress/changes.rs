//! Waiting for progress.

use std::time::Duration;

use tokio::{sync::watch, time::timeout};

/// Counts the saves of this handle and its clones. Those of others are found by looking.
pub(crate) struct Changes {
    count: watch::Sender<u64>,
    poll: Duration,
}

impl Changes {
    pub(crate) fn new(poll: Duration) -> Self {
        Self { count: watch::Sender::new(0), poll }
    }

    /// Somebody may see more than before.
    pub(super) fn announce(&self) {
        self.count.send_modify(|count| *count += 1);
    }

    /// Announces once more when a save ends, however it ends: one that failed, or that nobody waits for any more, may have happened.
    pub(super) fn announce_at_the_end(&self) -> impl Drop + Send {
        struct AtTheEnd<'a>(&'a Changes);
        impl Drop for AtTheEnd<'_> {
            fn drop(&mut self) {
                self.0.announce();
            }
        }
        AtTheEnd(self)
    }

    pub(crate) async fn wait(&self, seen: &mut u64, wait_max: Duration) {
        let mut count = self.count.subscribe();
        let told = timeout(wait_max.max(self.poll), count.wait_for(|count| count != seen)).await;
        // The sender is ours, so it is not gone.
        drop(told);
        *seen = *self.count.borrow();
    }
}
