//! The one signal that says: finish what you have begun, and stop.

use tokio_util::sync::CancellationToken;

/// Says whether it is time to stop. Every clone is the same signal. It is given once and never taken back.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    token: CancellationToken,
}

impl Shutdown {
    /// A signal that was not given yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the signal. Repeating it changes nothing.
    pub fn begin(&self) {
        self.token.cancel();
    }

    /// Whether the signal was given.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Returns when the signal is given, at once if it was. Safe to drop and call again.
    pub async fn begun(&self) {
        self.token.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn every_clone_hears_it() {
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
