//! A producer and its end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use diptych_kernel::ports::{PortError, PortResult};
use parking_lot::Mutex;
use rdkafka::{
    config::FromClientConfigAndContext,
    error::KafkaError,
    producer::{BaseProducer, BaseRecord, Producer, PurgeConfig},
};
use tokio::sync::futures::Notified;

use super::delivery::{DeliveryContext, Ticket};
use crate::{blocking::run_blocking, client, config::KafkaConfig, ends::Tails, error};

/// How long the end of a producer may go unnoticed by its thread. Deliveries are heard of at once.
const POLL: Duration = Duration::from_millis(100);

/// One producer, and the thread that hears of its deliveries (`kafka-deliveries`).
///
/// The thread holds the producer last, so that its end, which takes up to half a second, is waited for by nobody: it ends within
/// [`POLL`] of the lane.
pub(super) struct Lane {
    producer: Arc<BaseProducer<DeliveryContext>>,
    /// Nothing is sent any more. Held while a record is handed over, so that none slips in behind those that were thrown away.
    is_closed: Mutex<bool>,
    has_ended: Arc<AtomicBool>,
}

/// What is sent. Comes back where it cannot be.
pub(super) type Record<'a> = BaseRecord<'a, str, [u8], Box<Ticket>>;

impl Lane {
    pub(super) async fn open(config: Arc<KafkaConfig>, tails: Arc<Tails>) -> PortResult<Self> {
        run_blocking("make a producer", move || {
            let context = DeliveryContext::new(tails);
            let producer = BaseProducer::from_config_and_context(&client::producer(&config), context);
            let producer = Arc::new(producer.map_err(error::client)?);
            let has_ended = Arc::new(AtomicBool::new(false));
            let (polled, end) = (Arc::clone(&producer), Arc::clone(&has_ended));
            thread::Builder::new()
                .name("kafka-deliveries".into())
                .spawn(move || {
                    while !end.load(Ordering::Relaxed) {
                        polled.poll(POLL);
                    }
                })
                .map_err(|error| PortError::not_done("no thread for a producer of Kafka").caused_by(error))?;
            Ok(Self { producer, is_closed: Mutex::new(false), has_ended })
        })
        .await
    }

    /// Puts a record into the queue, or gives it back.
    #[allow(clippy::result_large_err, reason = "the record is given back, as rdkafka gives it back")]
    pub(super) fn send<'a>(&self, record: Record<'a>) -> Result<(), (KafkaError, Record<'a>)> {
        let is_closed = self.is_closed.lock();
        // Nothing may be sent behind a record that has failed.
        if *is_closed || self.producer.context().is_broken() {
            return Err((KafkaError::Canceled, record));
        }
        self.producer.send(record)
    }

    /// Completes when a record has left the queue.
    pub(super) fn room(&self) -> Notified<'_> {
        self.producer.context().room()
    }

    /// A record has failed, or the producer as a whole.
    pub(super) fn is_broken(&self) -> bool {
        *self.is_closed.lock() || self.producer.context().is_broken() || self.producer.client().fatal_error().is_some()
    }

    /// Throws away what is not delivered, and returns when nothing of it will be sent any more.
    pub(super) async fn throw_away(&self) -> PortResult<()> {
        *self.is_closed.lock() = true;
        let producer = Arc::clone(&self.producer);
        run_blocking("throw records away", move || {
            producer.purge(PurgeConfig::default().queue().inflight());
            Ok(())
        })
        .await
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.has_ended.store(true, Ordering::Relaxed);
    }
}
