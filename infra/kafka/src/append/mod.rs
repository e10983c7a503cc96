//! Appending.
//!
//! All entries of a call are handed to one idempotent producer, in order, and then awaited together. **Of each partition a first part is
//! there whatever happens**: the broker takes a producer's requests in their order only, librdkafka never gives up a record by itself
//! (see the properties in `client`), and when one fails, or time is up, the whole producer is given up: what it still has is thrown away
//! before the caller hears of the failure. The next append begins with a new producer. What was on its way to a broker at that moment may
//! still arrive, in its order, after records of the new producer: repeats with positions that readers know.

mod delivery;
mod producer;

use std::{fmt, sync::Arc, time::Duration};

use diptych_kernel::{
    Partitions,
    ports::{LogEntry, PortError, PortResult},
};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::{
    sync::Mutex,
    task::yield_now,
    time::{Instant, timeout, timeout_at},
};

use self::{
    delivery::{Batch, Outcome, Ticket},
    producer::{Lane, Record},
};
use crate::{
    config::KafkaConfig,
    ends::Tails,
    error::{advice, is_known_not_done},
    record::{bytes_max, check_time, draft},
};

/// So many entries are handed over before other tasks get their turn.
const ENTRIES_PER_TURN: usize = 128;

/// How long records that were thrown away may take to say so.
const GIVE_UP_WAIT_MAX: Duration = Duration::from_secs(2);

/// Puts entries on the topic. Holds a producer from the first append on.
pub(crate) struct Appender {
    config: Arc<KafkaConfig>,
    tails: Arc<Tails>,
    lane: Mutex<Option<Arc<Lane>>>,
}

impl fmt::Debug for Appender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Appender").field("topic", &self.config.topic).finish_non_exhaustive()
    }
}

/// Why handing over came to an end before all entries were.
enum Stop {
    /// It was refused, or an earlier one has failed.
    Code(RDKafkaErrorCode),
    /// Time is up, and there is no room yet.
    QueueFull,
}

impl Appender {
    pub(crate) fn new(config: Arc<KafkaConfig>, tails: Arc<Tails>) -> Self {
        Self { config, tails, lane: Mutex::new(None) }
    }

    /// Puts entries on the topic, and returns when all are acknowledged.
    pub(crate) async fn append(&self, entries: &[LogEntry], partitions: Partitions) -> PortResult<()> {
        if entries.is_empty() {
            return Ok(());
        }
        self.check(entries, partitions)?;
        let deadline = Instant::now() + self.config.append_wait_max;
        let lane = self.lane().await?;
        let batch = Arc::new(Batch::default());
        let stop = self.hand_over(&lane, &batch, entries, deadline).await?;
        let is_settled = timeout_at(deadline, batch.settled_or_failed()).await.is_ok();
        let outcome = batch.outcome();
        if stop.is_none() && is_settled && outcome.failure.is_none() {
            return Ok(());
        }
        if matches!(stop, Some(Stop::QueueFull)) && outcome.handed_over == 0 {
            return Err(queue_full(&self.config));
        }
        self.give_up(&lane).await?;
        // What was thrown away says so at once; what does not is not known.
        let is_known = timeout(GIVE_UP_WAIT_MAX, batch.settled()).await.is_ok();
        Err(failure(&self.config, stop.as_ref(), is_known, &batch.outcome(), entries.len()))
    }

    /// Refuses what can never be put there, before anything is.
    fn check(&self, entries: &[LogEntry], partitions: Partitions) -> PortResult<()> {
        let KafkaConfig { topic, ce_source, record_bytes_max, .. } = &*self.config;
        for entry in entries {
            let partition = entry.partition();
            if partition.number() >= partitions.count() {
                let count = partitions.count();
                return Err(PortError::operator(format!("topic {topic} has {count} partitions, none {partition}")));
            }
            let bytes = bytes_max(entry, ce_source);
            if u32::try_from(bytes).map_or(true, |bytes| bytes > *record_bytes_max) {
                return Err(PortError::operator(format!(
                    "a record of partition {partition} has up to {bytes} bytes, and record_bytes_max is {record_bytes_max}: raise it, \
                     and the topic's max.message.bytes"
                )));
            }
            check_time(entry)?;
        }
        Ok(())
    }

    /// The producer of the moment, or a new one where there is none that works.
    async fn lane(&self) -> PortResult<Arc<Lane>> {
        let mut lane = self.lane.lock().await;
        if let Some(lane) = lane.as_ref().filter(|lane| !lane.is_broken()) {
            return Ok(Arc::clone(lane));
        }
        // Stays where it is until nothing of it can be sent any more, also if this caller stops waiting.
        if let Some(broken) = lane.as_ref() {
            broken.throw_away().await?;
        }
        let new = Arc::new(Lane::open(Arc::clone(&self.config), Arc::clone(&self.tails)).await?);
        *lane = Some(Arc::clone(&new));
        Ok(new)
    }

    /// Ends a producer together with everything that it has not delivered.
    async fn give_up(&self, failed: &Arc<Lane>) -> PortResult<()> {
        let mut lane = self.lane.lock().await;
        failed.throw_away().await?;
        lane.take_if(|lane| Arc::ptr_eq(lane, failed));
        Ok(())
    }

    /// Hands entries over until all are, or one cannot be.
    async fn hand_over(
        &self,
        lane: &Lane,
        batch: &Arc<Batch>,
        entries: &[LogEntry],
        deadline: Instant,
    ) -> PortResult<Option<Stop>> {
        for (index, entry) in entries.iter().enumerate() {
            if index % ENTRIES_PER_TURN == ENTRIES_PER_TURN - 1 {
                yield_now().await;
            }
            if let Some(stop) = self.hand_over_one(lane, batch, entry, deadline).await? {
                return Ok(Some(stop));
            }
        }
        Ok(None)
    }

    async fn hand_over_one(
        &self,
        lane: &Lane,
        batch: &Arc<Batch>,
        entry: &LogEntry,
        deadline: Instant,
    ) -> PortResult<Option<Stop>> {
        let partition = entry.partition();
        let draft = draft(entry, &self.config.ce_source, self.tails.of(partition))?;
        let mut record: Record<'_> = Record::with_opaque_to(&self.config.topic, Box::new(Ticket::new(batch, entry)))
            .partition(i32::from(partition.number()))
            .headers(draft.headers);
        record.key = draft.key;
        record.payload = draft.payload;
        loop {
            // Registered before the attempt, so that room made in between is not missed.
            let room = lane.room();
            match lane.send(record) {
                Ok(()) => {
                    batch.handed_over();
                    return Ok(None);
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), returned)) => record = returned,
                Err((error, _)) => {
                    return Ok(Some(Stop::Code(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fatal))));
                }
            }
            if timeout_at(deadline, room).await.is_err() {
                return Ok(Some(Stop::QueueFull));
            }
        }
    }
}

fn queue_full(config: &KafkaConfig) -> PortError {
    PortError::not_done(format!(
        "no room for a record of topic {} within {:?}: {} records or {} KiB wait to be acknowledged",
        config.topic, config.append_wait_max, config.queue_records_max, config.queue_kib_max
    ))
}

/// What the caller hears: whether any of it may be there, and whether a person has to do something.
fn failure(config: &KafkaConfig, stop: Option<&Stop>, is_known: bool, outcome: &Outcome, asked: usize) -> PortError {
    let (topic, servers) = (&config.topic, &config.bootstrap_servers);
    let stopped = match stop {
        Some(Stop::Code(code)) => Some(*code),
        Some(Stop::QueueFull) | None => None,
    };
    // The first failure is the cause; those behind it were thrown away because of it.
    let cause = outcome.failure.filter(|code| !is_thrown_away(*code)).or(stopped);
    let why = match cause {
        Some(code) => code.to_string(),
        None => format!("not acknowledged within {:?}", config.append_wait_max),
    };
    let advice = cause.and_then(advice);
    let hint = advice.map(|advice| format!("; {advice}")).unwrap_or_default();
    let delivered = outcome.delivered;
    let message =
        format!("{delivered} of {asked} records were acknowledged by topic {topic} at {servers}: {why}{hint}");
    let is_nothing_there = is_known && delivered == 0 && !outcome.is_unknown;
    match advice {
        Some(_) if is_nothing_there => PortError::operator(message),
        _ if is_nothing_there => PortError::not_done(message),
        _ => PortError::unknown(message),
    }
}

/// Codes of records that were given up because of another one, or because time was up.
fn is_thrown_away(code: RDKafkaErrorCode) -> bool {
    matches!(code, RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight)
}

/// Whether a record that failed so may be there all the same.
fn leaves_open(code: RDKafkaErrorCode) -> bool {
    !is_known_not_done(code)
}
