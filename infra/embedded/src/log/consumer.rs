//! A member of a group.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use diptych_kernel::{
    Clock, Partition, Timestamp,
    ports::{Assignment, CommitOutcome, Consumer, LogRecord, LogSignal, Offset, PortError, PortResult, RevokeGuard},
};
use rusqlite::Connection;
use tokio::time::Instant;

use super::{
    group::{self, Holdings, Seat, Term},
    reading::Reading,
};
use crate::database::{Database, Trouble};

/// A sign of life is written so many times in a session.
const SIGNS_PER_SESSION: u32 = 5;

/// A member of a group. Leaves when it is dropped.
pub struct EmbeddedConsumer {
    database: Database,
    clock: Arc<dyn Clock>,
    seat: Seat,
    /// The generation of the group as of which `own` is known.
    generation: Option<i64>,
    own: BTreeMap<Partition, Term>,
    /// Those that this member was told to let go of: until it has, its commits count.
    let_go: BTreeMap<Partition, Term>,
    reading: Reading,
    last_sign_of_life: Timestamp,
}

/// What a look at the database brought.
enum Look {
    /// Partitions have changed hands, maybe this member's.
    Holdings(Holdings),
    /// The group is as it was; this comes next.
    Records { records: Vec<LogRecord>, reading: Reading, more: bool },
}

impl EmbeddedConsumer {
    /// A member that has just joined.
    pub(super) fn new(database: Database, clock: Arc<dyn Clock>, seat: Seat, joined_at: Timestamp) -> Self {
        Self {
            database,
            clock,
            seat,
            generation: None,
            own: BTreeMap::new(),
            let_go: BTreeMap::new(),
            reading: Reading::default(),
            last_sign_of_life: joined_at,
        }
    }

    /// How long until the next sign of life is due.
    fn quiet_time_left(&self) -> Duration {
        let silent = self.clock.now().as_micros().saturating_sub(self.last_sign_of_life.as_micros());
        let silent = Duration::from_micros(u64::try_from(silent).unwrap_or_default());
        (self.seat.times.session / SIGNS_PER_SESSION).saturating_sub(silent)
    }

    async fn show_life(&mut self) -> PortResult<()> {
        let (seat, now) = (self.seat.clone(), self.clock.now());
        let signals = Arc::clone(self.database.signals());
        let announce = move |changed: &mut bool| {
            if *changed {
                signals.changed.announce();
            }
        };
        self.database.write_then(move |transaction| group::show_life(transaction, &seat, now), announce).await?;
        self.last_sign_of_life = now;
        Ok(())
    }

    /// Looks at the group and reads on, on one state of the database: so what is read is this member's to read.
    async fn look(&self, limit: usize) -> PortResult<Look> {
        let (seat, known, mut reading) = (self.seat.clone(), self.generation, self.reading.clone());
        let look = move |connection: &Connection| -> Result<Look, Trouble> {
            if known != Some(group::generation(connection, &seat.group)?) {
                return Ok(Look::Holdings(group::holdings(connection, &seat)?));
            }
            let (records, more) = reading.go_on(connection, limit)?;
            Ok(Look::Records { records, reading, more })
        };
        self.database.read(look).await
    }

    /// What changed about this member's partitions: what is taken away comes first.
    fn learn(&mut self, holdings: Holdings) -> Option<LogSignal> {
        let Holdings { generation, own, mut to_let_go } = holdings;
        let is_lost = |partition: &Partition, term: &mut Term| own.get(partition).is_none_or(|now| now.term != *term);
        let lost: BTreeMap<Partition, Term> = self.own.extract_if(.., is_lost).collect();
        if !lost.is_empty() {
            // The generation is looked at again, for what was gained at the same time.
            return Some(self.revoke(lost));
        }
        // What it never took up it lets go of without a word.
        to_let_go.retain(|partition, term| self.let_go.get(partition) != Some(term));
        if !to_let_go.is_empty() {
            drop(self.hand_over(to_let_go));
        }
        self.generation = Some(generation);
        let mut gained: Vec<Assignment> = Vec::new();
        for (partition, holding) in own {
            if self.own.insert(partition, holding.term).is_none() {
                self.let_go.remove(&partition);
                gained.push(holding.assignment);
            }
        }
        if gained.is_empty() { None } else { Some(LogSignal::Assigned(gained)) }
    }

    fn revoke(&mut self, lost: BTreeMap<Partition, Term>) -> LogSignal {
        for (partition, term) in &lost {
            self.reading.stop(*partition);
            self.let_go.insert(*partition, *term);
        }
        let partitions = lost.keys().copied().collect();
        LogSignal::Revoked(partitions, RevokeGuard::new(self.hand_over(lost)))
    }

    fn hand_over(&self, terms: BTreeMap<Partition, Term>) -> HandOver {
        HandOver { database: self.database.clone(), seat: self.seat.clone(), terms: terms.into_iter().collect() }
    }
}

impl Consumer for EmbeddedConsumer {
    async fn poll(&mut self, limit: usize, wait_max: Duration) -> PortResult<LogSignal> {
        let deadline = Instant::now() + wait_max;
        let signals = Arc::clone(self.database.signals());
        loop {
            let seen = signals.changed.count();
            if self.quiet_time_left().is_zero() {
                self.show_life().await?;
            }
            match self.look(limit.max(1)).await? {
                Look::Holdings(holdings) => match self.learn(holdings) {
                    Some(signal) => return Ok(signal),
                    None => continue,
                },
                Look::Records { records, reading, more } => {
                    self.reading = reading;
                    if !records.is_empty() {
                        return Ok(LogSignal::Records(records));
                    }
                    if more {
                        continue;
                    }
                }
            }
            if Instant::now() >= deadline {
                return Ok(LogSignal::Idle);
            }
            let until = deadline.min(Instant::now() + self.quiet_time_left());
            signals.changed.wait(seen, until, self.database.may_have_strangers()).await;
        }
    }

    async fn heartbeat(&mut self) {
        if self.quiet_time_left().is_zero()
            && let Err(error) = self.show_life().await
        {
            // It is tried again with the next call, which says so too.
            tracing::debug!(%error, "a sign of life was not written");
        }
    }

    async fn seek(&mut self, partition: Partition, offset: Offset) -> PortResult<()> {
        if !self.own.contains_key(&partition) {
            return Err(PortError::operator(format!("partition {partition} is not this member's")));
        }
        self.reading.start_at(partition, offset);
        Ok(())
    }

    async fn commit(&mut self, offsets: &[(Partition, Offset)]) -> PortResult<CommitOutcome> {
        let mut with_terms = Vec::with_capacity(offsets.len());
        for (partition, offset) in offsets {
            match self.own.get(partition).or_else(|| self.let_go.get(partition)) {
                Some(term) => with_terms.push((*partition, *term, *offset)),
                None => return Ok(CommitOutcome::Fenced),
            }
        }
        if with_terms.is_empty() {
            return Ok(CommitOutcome::Committed);
        }
        let (seat, now) = (self.seat.clone(), self.clock.now());
        self.database.write(move |transaction| group::commit(transaction, &seat, &with_terms, now)).await
    }
}

impl Drop for EmbeddedConsumer {
    fn drop(&mut self) {
        let (seat, now) = (self.seat.clone(), self.clock.now());
        let signals = Arc::clone(self.database.signals());
        self.database.write_detached(
            move |transaction| group::leave(transaction, &seat, now),
            move |(): &mut ()| signals.changed.announce(),
        );
    }
}

/// Lets the group go on when it is dropped.
struct HandOver {
    database: Database,
    seat: Seat,
    terms: Vec<(Partition, Term)>,
}

impl fmt::Debug for HandOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandOver").field("terms", &self.terms).finish_non_exhaustive()
    }
}

impl Drop for HandOver {
    fn drop(&mut self) {
        let (seat, terms) = (self.seat.clone(), std::mem::take(&mut self.terms));
        let signals = Arc::clone(self.database.signals());
        self.database.write_detached(
            move |transaction| group::let_go(transaction, &seat, &terms),
            move |(): &mut ()| signals.changed.announce(),
        );
    }
}
