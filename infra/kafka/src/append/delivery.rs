//! Delivery reports of the records of one append.

use std::pin::pin;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::delivery_failure::DeliveryFailure;

/// Counts the delivery reports of the records of one append.
#[derive(Debug, Default)]
pub(super) struct AppendBatch {
    progress: Mutex<DeliveryProgress>,
    changed: Notify,
}

/// Delivery reports of an [`AppendBatch`] so far.
#[derive(Clone, Debug, Default)]
pub(super) struct DeliveryProgress {
    pub(super) enqueued: usize,
    pub(super) delivered: usize,
    failed: usize,
    /// The first failure. One that is a cause takes precedence over that of a purged record.
    pub(super) failure: Option<DeliveryFailure>,
    /// One of the failed records may be stored all the same.
    pub(super) is_unknown: bool,
}

impl DeliveryProgress {
    fn is_complete(&self) -> bool {
        self.delivered + self.failed >= self.enqueued
    }
}

impl AppendBatch {
    /// Expects one more delivery report.
    pub(super) fn record_enqueued(&self) {
        self.progress.lock().enqueued += 1;
    }

    pub(super) fn progress(&self) -> DeliveryProgress {
        self.progress.lock().clone()
    }

    /// Waits until every enqueued record has a delivery report.
    pub(super) async fn completed(&self) {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.progress.lock().is_complete() {
                return;
            }
            changed.await;
        }
    }

    pub(super) fn record_delivery(&self, result: Result<(), DeliveryFailure>) {
        let mut progress = self.progress.lock();
        match result {
            Ok(()) => progress.delivered += 1,
            Err(failure) => {
                progress.failed += 1;
                // The report of a record that was purged because of a failure may arrive before that of the failure.
                if progress.failure.is_none_or(DeliveryFailure::is_purged) {
                    progress.failure = Some(failure);
                }
                progress.is_unknown |= !failure.is_known_not_done();
            }
        }
        let is_complete = progress.is_complete();
        drop(progress);
        if is_complete {
            self.changed.notify_waiters();
        }
    }
}
