//! Appends entries to the topic.
//!
//! All entries of a call are handed to one idempotent producer, in order, and then awaited together. **A failed append
//! leaves, in each partition, a prefix of its entries**: the broker accepts a producer's requests only in order,
//! librdkafka never drops a record by itself (see the properties in `client_config`), and when one fails or times out,
//! the whole producer is abandoned: its undelivered records are purged before the caller gets the error. The next
//! append starts a new producer. A request that was on its way to a broker at that moment may still arrive, in order,
//! after records of the new producer: these are repeats, with positions that readers already know.
//!
//! **An acknowledgement is believed only with an offset that fits**: a record that is reported as delivered without
//! one, or below an offset that its partition has reached before, fails the append and abandons the producer. In the
//! second case, [`EventLog::ends`](diptych_kernel::ports::EventLog::ends) then reports the end before the loss.
//!
//! **A broker checks the order of requests only if it knows the producer id**. So a new producer has one record in
//! flight on each partition until that is acknowledged, and a producer whose epoch librdkafka raises is abandoned.

mod delivery;
mod delivery_context;
mod delivery_failure;
mod idempotent_producer;
mod partition_progress;

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use diptych_kernel::{
    Partitions,
    ports::{LogEntry, PortError, PortResult},
    vocabulary::History,
};
use rdkafka::error::RDKafkaErrorCode;
use tokio::{
    sync::Mutex,
    task::yield_now,
    time::{Instant, timeout, timeout_at},
};

use self::{
    delivery::{AppendBatch, DeliveryProgress},
    delivery_context::DeliveryOpaque,
    delivery_failure::DeliveryFailure,
    idempotent_producer::{EnqueueError, IdempotentProducer, ProducerRecord},
};
use crate::{
    config::KafkaConfig,
    end_offsets::TailSummaries,
    record::{check_time, encode, encoded_bytes_max},
};

/// Entries that are enqueued before the task yields to others.
const ENTRIES_PER_YIELD: usize = 128;

/// Maximum wait for the delivery reports of purged records.
const PURGE_WAIT_MAX: Duration = Duration::from_secs(2);

/// Appends entries to the topic. Holds a producer from the first append on.
pub(crate) struct Appender {
    config: Arc<KafkaConfig>,
    tails: Arc<TailSummaries>,
    producer: Mutex<Option<Arc<IdempotentProducer>>>,
}

impl fmt::Debug for Appender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Appender").field("topic", &self.config.topic).finish_non_exhaustive()
    }
}

impl Appender {
    pub(crate) fn new(config: Arc<KafkaConfig>, tails: Arc<TailSummaries>) -> Self {
        Self { config, tails, producer: Mutex::new(None) }
    }

    /// Appends entries, and returns when all are acknowledged.
    pub(crate) async fn append(&self, entries: &[LogEntry], partitions: Partitions) -> PortResult<()> {
        if entries.is_empty() {
            return Ok(());
        }
        self.check(entries, partitions)?;
        let deadline = Instant::now() + self.config.append_wait_max;
        let producer = self.working_producer(partitions).await?;
        let batch = Arc::new(AppendBatch::default());
        let enqueue_failure = self.enqueue_all(&producer, &batch, entries, deadline).await?;
        // The records behind a failed one are never sent, so their reports come only after a purge.
        let is_complete = tokio::select! {
            biased;
            is_in_time = timeout_at(deadline, batch.completed()) => is_in_time.is_ok(),
            () = producer.failed() => false,
        };
        let progress = batch.progress();
        if enqueue_failure.is_none() && is_complete && progress.failure.is_none() {
            return Ok(());
        }
        if enqueue_failure == Some(EnqueueError::QueueFull) && progress.enqueued == 0 {
            return Err(queue_full(&self.config));
        }
        self.abandon(&producer).await?;
        // A purged record gets its report at once; the outcome of a record without a report is unknown.
        let is_known = timeout(PURGE_WAIT_MAX, batch.completed()).await.is_ok();
        let producer_failure = match enqueue_failure {
            Some(EnqueueError::Refused(code)) => Some(DeliveryFailure::Code(code)),
            _ if producer.has_raised_epoch() => Some(DeliveryFailure::EpochRaised),
            Some(EnqueueError::ProducerFailed) => Some(DeliveryFailure::Code(RDKafkaErrorCode::Fatal)),
            Some(EnqueueError::QueueFull | EnqueueError::AwaitingFirstRecord) | None => None,
        };
        Err(append_error(&self.config, producer_failure, is_known, &batch.progress(), entries.len()))
    }

    /// Rejects entries that can never be appended, before any entry is.
    fn check(&self, entries: &[LogEntry], partitions: Partitions) -> PortResult<()> {
        let KafkaConfig { topic, ce_source, record_bytes_max, .. } = &*self.config;
        for entry in entries {
            let partition = entry.partition();
            if partition.number() >= partitions.count() {
                let count = partitions.count();
                return Err(PortError::operator(format!(
                    "topic {topic} has {count} partitions, so there is no partition {partition}"
                )));
            }
            let bytes = encoded_bytes_max(entry, ce_source);
            if u32::try_from(bytes).map_or(true, |bytes| bytes > *record_bytes_max) {
                return Err(PortError::operator(format!(
                    "a record of partition {partition} has up to {bytes} bytes, and record_bytes_max is \
                     {record_bytes_max}: raise it, and max.message.bytes of topic {topic}"
                )));
            }
            check_time(entry)?;
        }
        Ok(())
    }

    /// Returns the current producer, or a new one if there is none or it has failed.
    async fn working_producer(&self, partitions: Partitions) -> PortResult<Arc<IdempotentProducer>> {
        let mut current = self.producer.lock().await;
        if let Some(producer) = current.as_ref().filter(|producer| !producer.has_failed()) {
            return Ok(Arc::clone(producer));
        }
        // The failed producer stays in place until it is purged, so that cancelling this call cannot skip the purge.
        if let Some(failed) = current.as_ref() {
            failed.purge().await?;
        }
        let new =
            Arc::new(IdempotentProducer::open(Arc::clone(&self.config), Arc::clone(&self.tails), partitions).await?);
        *current = Some(Arc::clone(&new));
        Ok(new)
    }

    /// Purges a failed producer and stops using it.
    async fn abandon(&self, failed: &Arc<IdempotentProducer>) -> PortResult<()> {
        let mut current = self.producer.lock().await;
        failed.purge().await?;
        current.take_if(|producer| Arc::ptr_eq(producer, failed));
        Ok(())
    }

    /// Enqueues entries until all are, or one cannot be. The first entry of each partition goes first, so that a new
    /// producer waits for all partitions' first records at the same time.
    async fn enqueue_all(
        &self,
        producer: &IdempotentProducer,
        batch: &Arc<AppendBatch>,
        entries: &[LogEntry],
        deadline: Instant,
    ) -> PortResult<Option<EnqueueError>> {
        let mut has_entry = BTreeSet::new();
        let (first, others): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| has_entry.insert(entry.partition()));
        for (index, entry) in first.into_iter().chain(others).enumerate() {
            if index % ENTRIES_PER_YIELD == ENTRIES_PER_YIELD - 1 {
                yield_now().await;
            }
            if let Some(failure) = self.enqueue(producer, batch, entry, deadline).await? {
                return Ok(Some(failure));
            }
        }
        Ok(None)
    }

    async fn enqueue(
        &self,
        producer: &IdempotentProducer,
        batch: &Arc<AppendBatch>,
        entry: &LogEntry,
        deadline: Instant,
    ) -> PortResult<Option<EnqueueError>> {
        let partition = entry.partition();
        let history = self.config.history.as_ref().map(History::id);
        let encoded = encode(entry, &self.config.ce_source, history, self.tails.of(partition))?;
        let opaque = Box::new(DeliveryOpaque::new(batch, entry, self.tails.end_exclusive(partition)));
        let mut record: ProducerRecord<'_> = ProducerRecord::with_opaque_to(&self.config.topic, opaque)
            .partition(i32::from(partition.number()))
            .headers(encoded.headers);
        record.key = encoded.key;
        record.payload = encoded.payload;
        loop {
            // Registered before the attempt, so that a record that leaves the queue in between is not missed.
            let changed = producer.changed();
            let failure = match producer.enqueue(partition, record) {
                Ok(()) => {
                    batch.record_enqueued();
                    return Ok(None);
                }
                Err((failure @ (EnqueueError::QueueFull | EnqueueError::AwaitingFirstRecord), returned)) => {
                    record = returned;
                    failure
                }
                Err((failure, _)) => return Ok(Some(failure)),
            };
            if timeout_at(deadline, changed).await.is_err() {
                return Ok(Some(failure));
            }
        }
    }
}

fn queue_full(config: &KafkaConfig) -> PortError {
    PortError::not_done(format!(
        "the producer's queue for topic {} stayed full for {:?}: {} records or {} KiB are not acknowledged by {}; \
         check that these brokers (kafka.bootstrap_servers) are up",
        config.topic, config.append_wait_max, config.queue_records_max, config.queue_kib_max, config.bootstrap_servers
    ))
}

/// The error of a failed append: whether any of it may be stored, and whether an operator has to act.
fn append_error(
    config: &KafkaConfig,
    producer_failure: Option<DeliveryFailure>,
    is_known: bool,
    progress: &DeliveryProgress,
    entries_count: usize,
) -> PortError {
    let (topic, servers) = (&config.topic, &config.bootstrap_servers);
    // The first failure is the cause; the records behind it were purged because of it.
    let cause = progress.failure.filter(|failure| !failure.is_purged()).or(producer_failure);
    let reason = match cause {
        Some(failure) => failure.to_string(),
        None => format!(
            "not acknowledged within {:?}; check that these brokers (kafka.bootstrap_servers) are up",
            config.append_wait_max
        ),
    };
    let advice = cause.and_then(DeliveryFailure::advice);
    let hint = advice.map(|advice| format!("; {advice}")).unwrap_or_default();
    let delivered = progress.delivered;
    let message = format!(
        "{delivered} of {entries_count} records were acknowledged for topic {topic} by {servers}: {reason}{hint}"
    );
    let is_nothing_stored = is_known && delivered == 0 && !progress.is_unknown;
    match advice {
        Some(_) if is_nothing_stored => PortError::operator(message),
        _ if is_nothing_stored => PortError::not_done(message),
        _ => PortError::unknown(message),
    }
}
