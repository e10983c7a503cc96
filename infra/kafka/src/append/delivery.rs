//! Delivery reports of the records of one append.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use diptych_kernel::{Partition, Position, ports::LogEntry};
use parking_lot::Mutex;
use rdkafka::{
    ClientContext, Message, Statistics,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    message::DeliveryResult,
    producer::ProducerContext,
};
use tokio::sync::{Notify, futures::Notified};

use crate::{
    client_context::ClientLog,
    end_offsets::TailSummaries,
    error::{is_known_not_done, is_purged},
};

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
    /// The code of the first failure. A code that is a cause takes precedence over one of a purged record.
    pub(super) failure: Option<RDKafkaErrorCode>,
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
        self.until(DeliveryProgress::is_complete).await;
    }

    /// Waits until every enqueued record has a delivery report, or one has failed: the records behind a failed one are
    /// never sent, so their reports come only after a purge.
    pub(super) async fn completed_or_failed(&self) {
        self.until(|progress| progress.failure.is_some() || progress.is_complete()).await;
    }

    async fn until(&self, condition: impl Fn(&DeliveryProgress) -> bool) {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if condition(&self.progress.lock()) {
                return;
            }
            changed.await;
        }
    }

    fn record_delivery(&self, result: Result<(), RDKafkaErrorCode>) {
        let mut progress = self.progress.lock();
        match result {
            Ok(()) => progress.delivered += 1,
            Err(code) => {
                progress.failed += 1;
                // The report of a record that was purged because of a failure may arrive before that of the failure.
                if progress.failure.is_none_or(is_purged) {
                    progress.failure = Some(code);
                }
                progress.is_unknown |= !is_known_not_done(code);
            }
        }
        let wakes_waiters = progress.failure.is_some() || progress.is_complete();
        drop(progress);
        if wakes_waiters {
            self.changed.notify_waiters();
        }
    }
}

/// Opaque that librdkafka carries with a record and returns with its delivery report.
#[derive(Debug)]
pub(super) struct DeliveryOpaque {
    batch: Arc<AppendBatch>,
    /// The position, if the record is an event.
    event: Option<Position>,
}

impl DeliveryOpaque {
    pub(super) fn new(batch: &Arc<AppendBatch>, entry: &LogEntry) -> Self {
        let event = match entry {
            LogEntry::Event(event) => Some(event.position),
            LogEntry::Watermark(..) => None,
        };
        Self { batch: Arc::clone(batch), event }
    }
}

/// Context of the producer: receives its delivery reports, on the thread that polls it.
#[derive(Debug)]
pub(super) struct DeliveryContext {
    client_log: ClientLog,
    tails: Arc<TailSummaries>,
    queue_space: Notify,
    has_failed: AtomicBool,
}

impl DeliveryContext {
    pub(super) fn new(tails: Arc<TailSummaries>) -> Self {
        Self { client_log: ClientLog::default(), tails, queue_space: Notify::new(), has_failed: AtomicBool::new(false) }
    }

    /// Completes when a record has left the queue.
    pub(super) fn queue_space(&self) -> Notified<'_> {
        self.queue_space.notified()
    }

    /// Returns whether a record has failed, so that nothing more may be sent.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::SeqCst)
    }
}

impl ClientContext for DeliveryContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.client_log.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.client_log.error(&error, reason);
    }

    fn stats(&self, _: Statistics) {}
}

impl ProducerContext for DeliveryContext {
    type DeliveryOpaque = Box<DeliveryOpaque>;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: Box<DeliveryOpaque>) {
        let result = match result {
            Ok(record) => {
                if let (Ok(partition), Ok(offset)) = (u16::try_from(record.partition()), u64::try_from(record.offset()))
                {
                    self.tails.record_acknowledged(Partition::new(partition), offset, opaque.event);
                }
                Ok(())
            }
            Err((error, _)) => {
                self.has_failed.store(true, Ordering::SeqCst);
                Err(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown))
            }
        };
        opaque.batch.record_delivery(result);
        self.queue_space.notify_waiters();
    }
}
