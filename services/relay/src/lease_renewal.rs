//! Renewal of the leader's lease beside its work.

use std::{convert::Infallible, sync::Arc, time::Duration};

use diptych_kernel::ports::{CursorOutcome, Fence, RelayCursor, RelayState};
use diptych_runtime::{LogLimiter, pause};
use tokio::{sync::watch, time::Instant};

use crate::config::RelayConfig;

/// A lease that this process holds.
#[derive(Clone, Debug)]
struct HeldLease {
    fence: Fence,
    /// The cursor as it is stored.
    cursor: RelayCursor,
    /// Time before the lease was acquired or extended.
    extended_at: Instant,
}

/// Extends the lease when the leader has not done it in time: while it appends to a slow log, compares the log with its
/// cursor, or pauses before a retry. Otherwise every move of the cursor extends it.
#[derive(Debug)]
pub(crate) struct LeaseRenewal<S> {
    store: Arc<S>,
    duration: Duration,
    retry_delay: Duration,
    held: watch::Sender<Option<HeldLease>>,
}

impl<S: RelayState> LeaseRenewal<S> {
    pub(crate) fn new(store: Arc<S>, config: &RelayConfig) -> Self {
        let retry_delay = config.extend_interval() / 4;
        Self { store, duration: config.lease_duration, retry_delay, held: watch::Sender::new(None) }
    }

    /// Starts extending: a request that was sent at `extended_at` has acquired or extended the lease.
    pub(crate) fn lease_extended(&self, fence: Fence, cursor: &RelayCursor, extended_at: Instant) {
        self.held.send_replace(Some(HeldLease { fence, cursor: cursor.clone(), extended_at }));
    }

    /// Stops extending: the lease is released, or lost.
    pub(crate) fn lease_ended(&self) {
        self.held.send_replace(None);
    }

    /// Extends the lease whenever it is due.
    pub(crate) async fn run(&self) -> Infallible {
        let mut held = self.held.subscribe();
        let mut log = LogLimiter::default();
        loop {
            let lease = held.borrow_and_update().clone();
            // Later than the leader itself would do it.
            let due_in = lease.as_ref().map(|lease| (self.duration / 2).saturating_sub(lease.extended_at.elapsed()));
            let Some((lease, due_in)) = lease.zip(due_in) else {
                // Fails only if the sender is gone, which `self` holds.
                let _ = held.changed().await;
                continue;
            };
            tokio::select! {
                biased;
                _ = held.changed() => {}
                () = pause(due_in) => self.extend(&lease, &mut log).await,
            }
        }
    }

    async fn extend(&self, lease: &HeldLease, log: &mut LogLimiter) {
        let began_at = Instant::now();
        let extended_at = match self.store.move_cursor(lease.fence, &lease.cursor, self.duration).await {
            Ok(CursorOutcome::Moved) => Some(began_at),
            Ok(CursorOutcome::Fenced) => None,
            // The leader learns it from its next move of the cursor.
            Ok(CursorOutcome::EventsLost) => return pause(self.retry_delay).await,
            Err(error) => {
                if log.allow().is_some() {
                    tracing::warn!(%error, "failed to extend the lease; it is retried until another relay leads");
                }
                return pause(self.retry_delay).await;
            }
        };
        self.held.send_if_modified(|held| {
            // The leader may have acted meanwhile.
            let Some(current) = held.as_mut().filter(|held| held.fence == lease.fence) else { return false };
            match extended_at {
                Some(extended_at) => current.extended_at = current.extended_at.max(extended_at),
                // The leader learns it from its next move of the cursor.
                None => *held = None,
            }
            true
        });
    }
}
