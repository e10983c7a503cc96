//! Invalidates connections older than the last failure.

use std::sync::Arc;

use tokio::{sync::watch, time::Instant};

/// The time at which a connection of a handle last broke or timed out; older connections must not be used any more.
///
/// They were made to the same server. That may be a demoted primary which still answers reads, from the state at its
/// demotion. A new connection commits once before it is used, so it cannot belong to such a server. Clones share the
/// same state.
#[derive(Clone, Debug)]
pub(crate) struct PoolEpoch(Arc<watch::Sender<Option<Instant>>>);

impl Default for PoolEpoch {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl PoolEpoch {
    /// Begins a new epoch, after a connection has failed.
    pub(crate) fn advance(&self) {
        self.0.send_replace(Some(Instant::now()));
    }

    /// Returns whether a connection made at `created_at` belongs to the current epoch.
    pub(crate) fn accepts(&self, created_at: Instant) -> bool {
        self.0.borrow().is_none_or(|failed_at| created_at > failed_at)
    }

    /// Subscribes to new epochs, for the owner of a long-lived connection outside the pools.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Option<Instant>> {
        self.0.subscribe()
    }
}
