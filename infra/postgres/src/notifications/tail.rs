//! The known end of the table: the highest position, and whether notifications are received.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use diptych_kernel::Position;
use tokio::{sync::watch, time::Instant};

/// The highest known position, and whether notifications are received.
pub(super) struct TailState {
    /// Counts the events that wake waiting tasks.
    changes: watch::Sender<u64>,
    /// The highest position that is known to be stored.
    highest: AtomicI64,
    listener: watch::Sender<ListenerEpoch>,
    /// The listener epoch in which the server was last polled.
    polled_in: AtomicU64,
}

/// Counts the beginnings and ends of the times in which notifications are received: they are received in epochs with an
/// odd number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ListenerEpoch(u64);

impl ListenerEpoch {
    pub(super) fn is_listening(self) -> bool {
        self.0 % 2 == 1
    }
}

impl Default for TailState {
    fn default() -> Self {
        Self {
            changes: watch::Sender::new(0),
            highest: AtomicI64::new(0),
            listener: watch::Sender::new(ListenerEpoch(0)),
            polled_in: AtomicU64::new(u64::MAX),
        }
    }
}

impl TailState {
    pub(super) fn highest(&self) -> i64 {
        self.highest.load(Ordering::Acquire)
    }

    pub(super) fn changes_count(&self) -> u64 {
        *self.changes.borrow()
    }

    pub(super) fn listener_epoch(&self) -> ListenerEpoch {
        *self.listener.borrow()
    }

    /// Raises the highest position, and wakes all waiting tasks if it is new.
    pub(super) fn advance(&self, position: i64) {
        if self.highest.fetch_max(position, Ordering::AcqRel) < position {
            self.changes.send_modify(|count| *count += 1);
        }
    }

    /// Records whether notifications are received from now on.
    pub(super) fn set_listening(&self, is_listening: bool) {
        self.listener.send_if_modified(|epoch| {
            let is_new = epoch.is_listening() != is_listening;
            epoch.0 += u64::from(is_new);
            is_new
        });
    }

    /// Returns whether the server was polled in this listener epoch, so that no earlier event can be unknown.
    pub(super) fn was_polled_in(&self, epoch: ListenerEpoch) -> bool {
        self.polled_in.load(Ordering::Acquire) == epoch.0
    }

    /// Records the result of a poll that began in `epoch`.
    pub(super) fn record_poll(&self, epoch: ListenerEpoch, last: Position) {
        self.polled_in.store(epoch.0, Ordering::Release);
        self.advance(last.as_i64());
    }

    /// Waits until something differs from `changes_count` and `epoch`, or until a deadline.
    pub(super) async fn wait_for_change(&self, changes_count: u64, epoch: ListenerEpoch, deadline: Instant) {
        let (mut changes, mut epochs) = (self.changes.subscribe(), self.listener.subscribe());
        let change = async {
            tokio::select! {
                _ = changes.wait_for(|count| *count != changes_count) => {}
                _ = epochs.wait_for(|now| *now != epoch) => {}
            }
        };
        // The caller checks what has changed, so a timeout is no error.
        let _elapsed = tokio::time::timeout_at(deadline, change).await;
    }
}
