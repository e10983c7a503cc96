//! A librdkafka producer, the thread that polls it, and its purge.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use diptych_kernel::{
    Partition, Partitions,
    ports::{PortError, PortResult},
};
use parking_lot::Mutex;
use rdkafka::{
    config::FromClientConfigAndContext,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, BaseRecord, Producer, PurgeConfig},
};
use tokio::sync::futures::Notified;

use super::delivery_context::{DeliveryContext, DeliveryOpaque};
use crate::{blocking::run_blocking, client_config, config::KafkaConfig, end_offsets::TailSummaries, error};

/// Maximum time that the polling thread runs after its producer was dropped. Delivery reports end a poll at once.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);

/// An idempotent producer, and the thread that polls it for delivery reports (`kafka-deliveries`).
///
/// The thread holds the last reference to the librdkafka producer, whose destruction takes up to half a second, so that
/// no caller waits for it: the thread ends within [`POLL_TIMEOUT`] of this value being dropped.
pub(super) struct IdempotentProducer {
    producer: Arc<BaseProducer<DeliveryContext>>,
    /// Set when nothing more may be sent. Held while a record is enqueued, so that none is enqueued behind a purge.
    is_closed: Mutex<bool>,
    is_dropped: Arc<AtomicBool>,
}

/// A record to send. It is handed back if it cannot be enqueued.
pub(super) type ProducerRecord<'a> = BaseRecord<'a, str, [u8], Box<DeliveryOpaque>>;

/// Reason why a record was not enqueued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EnqueueError {
    /// The queue is full; there is room later.
    QueueFull,
    /// The first record on the partition waits for its acknowledgement.
    AwaitingFirstRecord,
    /// The producer has failed.
    ProducerFailed,
    /// The producer refuses the record.
    Refused(RDKafkaErrorCode),
}

impl IdempotentProducer {
    pub(super) async fn open(
        config: Arc<KafkaConfig>,
        tails: Arc<TailSummaries>,
        partitions: Partitions,
    ) -> PortResult<Self> {
        run_blocking("create a producer", move || {
            let context = DeliveryContext::new(tails, partitions);
            let producer = BaseProducer::from_config_and_context(&client_config::producer(&config), context);
            let producer = Arc::new(producer.map_err(error::client_creation)?);
            let is_dropped = Arc::new(AtomicBool::new(false));
            let (polled, stop) = (Arc::clone(&producer), Arc::clone(&is_dropped));
            thread::Builder::new()
                .name("kafka-deliveries".into())
                .spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        polled.poll(POLL_TIMEOUT);
                    }
                })
                .map_err(|error| PortError::not_done("cannot start the thread of a Kafka producer").caused_by(error))?;
            Ok(Self { producer, is_closed: Mutex::new(false), is_dropped })
        })
        .await
    }

    /// Enqueues a record of a partition, or hands it back.
    #[allow(clippy::result_large_err, reason = "the record is handed back, as rdkafka does")]
    pub(super) fn enqueue<'a>(
        &self,
        partition: Partition,
        record: ProducerRecord<'a>,
    ) -> Result<(), (EnqueueError, ProducerRecord<'a>)> {
        let (is_closed, context) = (self.is_closed.lock(), self.producer.context());
        // Nothing may be sent behind a record that has failed.
        if *is_closed || context.has_failed() {
            return Err((EnqueueError::ProducerFailed, record));
        }
        if context.awaits_first_record(partition) {
            return Err((EnqueueError::AwaitingFirstRecord, record));
        }
        self.producer.send(record).map_err(|(error, record)| match error {
            KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) => (EnqueueError::QueueFull, record),
            error => (EnqueueError::Refused(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fatal)), record),
        })?;
        context.record_sent(partition);
        Ok(())
    }

    /// Completes when a record has left the queue, or the producer has failed.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.producer.context().changed()
    }

    /// Waits until a record has failed, or librdkafka has raised the producer's epoch.
    pub(super) async fn failed(&self) {
        self.producer.context().failed().await;
    }

    /// Returns whether librdkafka has raised the producer's epoch.
    pub(super) fn has_raised_epoch(&self) -> bool {
        self.producer.context().has_raised_epoch()
    }

    /// Returns whether a record, or the producer as a whole, has failed.
    pub(super) fn has_failed(&self) -> bool {
        *self.is_closed.lock() || self.producer.context().has_failed() || self.producer.client().fatal_error().is_some()
    }

    /// Discards all undelivered records. When it returns, none of them will be sent any more.
    pub(super) async fn purge(&self) -> PortResult<()> {
        *self.is_closed.lock() = true;
        let producer = Arc::clone(&self.producer);
        run_blocking("purge a producer", move || {
            producer.purge(PurgeConfig::default().queue().inflight());
            Ok(())
        })
        .await
    }
}

impl Drop for IdempotentProducer {
    fn drop(&mut self) {
        self.is_dropped.store(true, Ordering::Relaxed);
    }
}
