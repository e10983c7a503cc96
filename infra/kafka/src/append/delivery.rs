//! What becomes of the records of an append.

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

use super::{is_thrown_away, leaves_open};
use crate::{context::Talk, ends::Tails};

/// The records of one append.
#[derive(Debug, Default)]
pub(super) struct Batch {
    outcome: Mutex<Outcome>,
    changed: Notify,
}

/// How far a batch has come.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    pub(super) handed_over: usize,
    pub(super) delivered: usize,
    failed: usize,
    /// The code of the first failure; of one that is a cause, if there is any.
    pub(super) failure: Option<RDKafkaErrorCode>,
    /// One of those that failed may be there all the same.
    pub(super) is_unknown: bool,
}

impl Outcome {
    fn is_settled(&self) -> bool {
        self.delivered + self.failed >= self.handed_over
    }
}

impl Batch {
    /// One more record will have an outcome.
    pub(super) fn handed_over(&self) {
        self.outcome.lock().handed_over += 1;
    }

    pub(super) fn outcome(&self) -> Outcome {
        self.outcome.lock().clone()
    }

    /// Returns when every record that was handed over has an outcome.
    pub(super) async fn settled(&self) {
        self.until(Outcome::is_settled).await;
    }

    /// Returns when every record that was handed over has an outcome, or one has failed: then those behind it wait for ever.
    pub(super) async fn settled_or_failed(&self) {
        self.until(|outcome| outcome.failure.is_some() || outcome.is_settled()).await;
    }

    async fn until(&self, is_so: impl Fn(&Outcome) -> bool) {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if is_so(&self.outcome.lock()) {
                return;
            }
            changed.await;
        }
    }

    fn settle(&self, result: Result<(), RDKafkaErrorCode>) {
        let mut outcome = self.outcome.lock();
        match result {
            Ok(()) => outcome.delivered += 1,
            Err(code) => {
                outcome.failed += 1;
                // What is thrown away because of a failure may be heard of before it.
                if outcome.failure.is_none_or(is_thrown_away) {
                    outcome.failure = Some(code);
                }
                outcome.is_unknown |= leaves_open(code);
            }
        }
        let is_news = outcome.failure.is_some() || outcome.is_settled();
        drop(outcome);
        if is_news {
            self.changed.notify_waiters();
        }
    }
}

/// Goes with a record and comes back with its outcome.
#[derive(Debug)]
pub(super) struct Ticket {
    batch: Arc<Batch>,
    /// The position, where it is an event.
    event: Option<Position>,
}

impl Ticket {
    pub(super) fn new(batch: &Arc<Batch>, entry: &LogEntry) -> Self {
        let event = match entry {
            LogEntry::Event(event) => Some(event.position),
            LogEntry::Watermark(..) => None,
        };
        Self { batch: Arc::clone(batch), event }
    }
}

/// Hears of every delivery, on the thread that polls the producer.
#[derive(Debug)]
pub(super) struct DeliveryContext {
    talk: Talk,
    tails: Arc<Tails>,
    room: Notify,
    is_broken: AtomicBool,
}

impl DeliveryContext {
    pub(super) fn new(tails: Arc<Tails>) -> Self {
        Self { talk: Talk::default(), tails, room: Notify::new(), is_broken: AtomicBool::new(false) }
    }

    /// Completes when a record has left the queue.
    pub(super) fn room(&self) -> Notified<'_> {
        self.room.notified()
    }

    /// A record has failed, so nothing more may be sent.
    pub(super) fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::SeqCst)
    }
}

impl ClientContext for DeliveryContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.talk.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.talk.error(&error, reason);
    }

    fn stats(&self, _: Statistics) {}
}

impl ProducerContext for DeliveryContext {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        let result = match result {
            Ok(record) => {
                if let (Ok(partition), Ok(offset)) = (u16::try_from(record.partition()), u64::try_from(record.offset()))
                {
                    self.tails.acknowledged(Partition::new(partition), offset, ticket.event);
                }
                Ok(())
            }
            Err((error, _)) => {
                self.is_broken.store(true, Ordering::SeqCst);
                Err(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown))
            }
        };
        ticket.batch.settle(result);
        self.room.notify_waiters();
    }
}
