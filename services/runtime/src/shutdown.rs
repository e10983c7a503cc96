//! The shutdown signal.

use tokio_util::sync::CancellationToken;

/// A signal to finish work under way and stop. All clones share the signal. Once given, it stays.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    token: CancellationToken,
}

impl Shutdown {
    /// A signal that is not given yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the signal. Repeating it changes nothing.
    pub fn begin(&self) {
        self.token.cancel();
    }

    /// Returns whether the signal was given.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits for the signal; returns at once if it was given. Cancel-safe.
    pub async fn begun(&self) {
        self.token.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn every_clone_receives_the_signal() {
        let shutdown = Shutdown::new();
        let clone = shutdown.clone();
        assert!(!clone.has_begun());
        assert!(clone.begun().now_or_never().is_none());
        shutdown.begin();
        shutdown.begin();
        assert!(clone.has_begun());
        assert!(clone.begun().now_or_never().is_some());
    }
}
