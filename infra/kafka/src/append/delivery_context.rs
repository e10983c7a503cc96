//! Receives the delivery reports of a producer, and decides when it has failed.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use diptych_kernel::{EventIdentity, Partition, Partitions, ports::LogEntry};
use parking_lot::Mutex;
use rdkafka::{
    ClientContext, Message, Statistics,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    message::DeliveryResult,
    producer::ProducerContext,
};
use tokio::sync::{Notify, futures::Notified};

use super::{delivery::AppendBatch, delivery_failure::DeliveryFailure, partition_progress::PartitionProgress};
use crate::{client_context::ClientLog, end_offsets::TailSummaries};

/// Opaque that librdkafka carries with a record and returns with its delivery report.
#[derive(Debug)]
pub(super) struct DeliveryOpaque {
    batch: Arc<AppendBatch>,
    partition: Partition,
    /// `None` if the record is a watermark.
    event: Option<EventIdentity>,
    /// The offset that the partition was known to reach when the record was enqueued, 0 if unknown.
    end_when_sent: u64,
}

impl DeliveryOpaque {
    pub(super) fn new(batch: &Arc<AppendBatch>, entry: &LogEntry, end_when_sent: u64) -> Self {
        let event = match entry {
            LogEntry::Event(event) => Some(event.identity()),
            LogEntry::Watermark(..) => None,
        };
        Self { batch: Arc::clone(batch), partition: entry.partition(), event, end_when_sent }
    }
}

/// Context of the producer: receives its delivery reports, on the thread that polls it.
#[derive(Debug)]
pub(super) struct DeliveryContext {
    client_log: ClientLog,
    tails: Arc<TailSummaries>,
    partitions: Mutex<Vec<PartitionProgress>>,
    changed: Notify,
    failed: Notify,
    has_failed: AtomicBool,
    has_raised_epoch: AtomicBool,
}

impl DeliveryContext {
    pub(super) fn new(tails: Arc<TailSummaries>, partitions: Partitions) -> Self {
        Self {
            client_log: ClientLog::default(),
            tails,
            partitions: Mutex::new(vec![PartitionProgress::default(); usize::from(partitions.count())]),
            changed: Notify::new(),
            failed: Notify::new(),
            has_failed: AtomicBool::new(false),
            has_raised_epoch: AtomicBool::new(false),
        }
    }

    /// Completes when a record has left the queue, or the producer has failed.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Waits until the producer has failed.
    pub(super) async fn failed(&self) {
        let mut failed = pin!(self.failed.notified());
        failed.as_mut().enable();
        if !self.has_failed() {
            failed.await;
        }
    }

    /// Returns whether a record has failed, or the epoch was raised, so that nothing more may be sent.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::SeqCst)
    }

    /// Returns whether librdkafka has raised the producer's epoch.
    pub(super) fn has_raised_epoch(&self) -> bool {
        self.has_raised_epoch.load(Ordering::SeqCst)
    }

    /// Returns whether the first record on a partition waits for its acknowledgement, so that no other may be sent.
    pub(super) fn awaits_first_record(&self, partition: Partition) -> bool {
        self.partitions.lock().get(partition.index()).is_some_and(|progress| progress.awaits_first_record())
    }

    pub(super) fn record_sent(&self, partition: Partition) {
        if let Some(progress) = self.partitions.lock().get_mut(partition.index()) {
            progress.record_sent();
        }
    }

    fn fail(&self) {
        self.has_failed.store(true, Ordering::SeqCst);
        self.failed.notify_waiters();
    }

    /// Checks the offset of a record that is reported as delivered, and records what it says about the partition's end.
    fn check_delivery(&self, offset: i64, opaque: &DeliveryOpaque) -> Result<(), DeliveryFailure> {
        let DeliveryOpaque { partition, event, end_when_sent, .. } = *opaque;
        let mut partitions = self.partitions.lock();
        let Some(progress) = partitions.get_mut(partition.index()) else {
            return Err(DeliveryFailure::Code(RDKafkaErrorCode::UnknownPartition));
        };
        match progress.check_delivery(partition, offset, end_when_sent) {
            // Behind a failure, a record that is stored does not show that those before it are.
            Ok(_) if self.has_failed() => Ok(()),
            Ok(offset) => {
                self.tails.record_acknowledged(partition, offset, event);
                Ok(())
            }
            Err(failure) => {
                if let DeliveryFailure::LostTail { offset, .. } = failure {
                    self.tails.record_loss(partition, offset);
                }
                Err(failure)
            }
        }
    }
}

impl ClientContext for DeliveryContext {
    /// Called under librdkafka's locks, so it must not call librdkafka.
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // "Beginning partition drain in state ... for PID{...} epoch bump for ...", written before the epoch is raised.
        // A test of `tests/faults` fails if a newer librdkafka words it differently.
        if facility == "DRAIN" && message.contains("epoch bump") {
            self.has_raised_epoch.store(true, Ordering::SeqCst);
            self.fail();
            self.changed.notify_waiters();
        }
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
            Ok(record) => self.check_delivery(record.offset(), &opaque),
            Err((error, _)) => {
                Err(DeliveryFailure::Code(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown)))
            }
        };
        if result.is_err() {
            self.fail();
        }
        opaque.batch.record_delivery(result);
        self.changed.notify_waiters();
    }
}
