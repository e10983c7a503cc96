//! Consumer: a member of a group.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use diptych_kernel::{
    Clock, Partition, Timestamp,
    ports::{Assignment, CommitOutcome, Consumer, LogRecord, LogSignal, Offset, PortError, PortResult, RevokeGuard},
};
use rusqlite::Connection;
use tokio::time::Instant;

use super::{
    group::{self, Membership, Ownership, OwnershipTerm},
    reading::ReadCursor,
};
use crate::database::{Database, TransactionError};

/// Number of heartbeats written per session timeout.
const HEARTBEATS_PER_SESSION: u32 = 5;

/// Member of a consumer group. Dropping it leaves the group.
pub struct EmbeddedConsumer {
    database: Database,
    clock: Arc<dyn Clock>,
    membership: Membership,
    /// The generation of the group that `own` was read at; `None` if it is not known.
    generation: Option<i64>,
    own: BTreeMap<Partition, OwnershipTerm>,
    /// Partitions revoked from this member that it has not released yet; until then, its commits are accepted.
    releasing: BTreeMap<Partition, OwnershipTerm>,
    reading: ReadCursor,
    last_heartbeat: Timestamp,
}

/// Result of polling the database once.
enum PollResult {
    /// The ownership of partitions has changed, possibly of this member's.
    Ownership(Ownership),
    /// The group is unchanged; these are the next records.
    Records { records: Vec<LogRecord>, reading: ReadCursor, more: bool },
}

impl EmbeddedConsumer {
    /// Creates a member that has just joined.
    pub(super) fn new(database: Database, clock: Arc<dyn Clock>, membership: Membership, joined_at: Timestamp) -> Self {
        Self {
            database,
            clock,
            membership,
            generation: None,
            own: BTreeMap::new(),
            releasing: BTreeMap::new(),
            reading: ReadCursor::default(),
            last_heartbeat: joined_at,
        }
    }

    /// Returns the time until the next heartbeat is due.
    fn time_to_heartbeat(&self) -> Duration {
        let silent = self.clock.now().as_micros().saturating_sub(self.last_heartbeat.as_micros());
        let silent = Duration::from_micros(u64::try_from(silent).unwrap_or_default());
        (self.membership.timeouts.session / HEARTBEATS_PER_SESSION).saturating_sub(silent)
    }

    async fn write_heartbeat(&mut self) -> PortResult<()> {
        let (membership, now) = (self.membership.clone(), self.clock.now());
        let signals = Arc::clone(self.database.signals());
        let announce = move |changed: &mut bool| {
            if *changed {
                signals.changed.announce();
            }
        };
        self.database.write_then(move |transaction| group::heartbeat(transaction, &membership, now), announce).await?;
        self.last_heartbeat = now;
        Ok(())
    }

    /// Checks the group and reads the next records in one transaction, so that every record belongs to a partition of
    /// this member.
    async fn poll_once(&self, limit: usize) -> PortResult<PollResult> {
        let (membership, known, mut reading) = (self.membership.clone(), self.generation, self.reading.clone());
        let read = move |connection: &Connection| -> Result<PollResult, TransactionError> {
            if known != Some(group::generation(connection, &membership.group)?) {
                return Ok(PollResult::Ownership(group::ownership(connection, &membership)?));
            }
            let (records, more) = reading.read_next(connection, limit)?;
            Ok(PollResult::Records { records, reading, more })
        };
        self.database.read(read).await
    }

    /// Applies changes of this member's partitions and returns the signal for them. Revocations come before
    /// assignments.
    fn apply_ownership(&mut self, ownership: Ownership) -> Option<LogSignal> {
        let Ownership { generation, own, mut to_release } = ownership;
        let is_lost =
            |partition: &Partition, term: &mut OwnershipTerm| own.get(partition).is_none_or(|now| now.term != *term);
        let lost: BTreeMap<Partition, OwnershipTerm> = self.own.extract_if(.., is_lost).collect();
        if !lost.is_empty() {
            // The generation is not updated, so that the next poll returns the partitions assigned at the same time.
            return Some(self.revoke(lost));
        }
        // Partitions that were never assigned to the caller are released without a signal.
        to_release.retain(|partition, term| self.releasing.get(partition) != Some(term));
        if !to_release.is_empty() {
            drop(self.handover(to_release));
        }
        self.generation = Some(generation);
        let mut gained: Vec<Assignment> = Vec::new();
        for (partition, owned) in own {
            if self.own.insert(partition, owned.term).is_none() {
                self.releasing.remove(&partition);
                gained.push(owned.assignment);
            }
        }
        if gained.is_empty() { None } else { Some(LogSignal::Assigned(gained)) }
    }

    fn revoke(&mut self, lost: BTreeMap<Partition, OwnershipTerm>) -> LogSignal {
        for (partition, term) in &lost {
            self.reading.stop(*partition);
            self.releasing.insert(*partition, *term);
        }
        let partitions = lost.keys().copied().collect();
        LogSignal::Revoked(partitions, RevokeGuard::new(self.handover(lost)))
    }

    fn handover(&self, terms: BTreeMap<Partition, OwnershipTerm>) -> Handover {
        Handover {
            database: self.database.clone(),
            membership: self.membership.clone(),
            terms: terms.into_iter().collect(),
        }
    }
}

impl Consumer for EmbeddedConsumer {
    async fn poll(&mut self, limit: usize, wait_max: Duration) -> PortResult<LogSignal> {
        let deadline = Instant::now() + wait_max;
        let signals = Arc::clone(self.database.signals());
        loop {
            let seen = signals.changed.count();
            if self.time_to_heartbeat().is_zero() {
                self.write_heartbeat().await?;
            }
            match self.poll_once(limit.max(1)).await? {
                PollResult::Ownership(ownership) => match self.apply_ownership(ownership) {
                    Some(signal) => return Ok(signal),
                    None => continue,
                },
                PollResult::Records { records, reading, more } => {
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
            let until = deadline.min(Instant::now() + self.time_to_heartbeat());
            signals.changed.wait(seen, until, self.database.may_have_other_processes()).await;
        }
    }

    async fn heartbeat(&mut self) {
        if self.time_to_heartbeat().is_zero()
            && let Err(error) = self.write_heartbeat().await
        {
            // The next call tries again and reports the error.
            tracing::debug!(%error, "cannot write the heartbeat; the next call tries again");
        }
    }

    async fn seek(&mut self, partition: Partition, offset: Offset) -> PortResult<()> {
        if !self.own.contains_key(&partition) {
            return Err(PortError::operator(format!("partition {partition} is not assigned to this member")));
        }
        self.reading.seek(partition, offset);
        Ok(())
    }

    async fn commit(&mut self, offsets: &[(Partition, Offset)]) -> PortResult<CommitOutcome> {
        let mut with_terms = Vec::with_capacity(offsets.len());
        for (partition, offset) in offsets {
            match self.own.get(partition).or_else(|| self.releasing.get(partition)) {
                Some(term) => with_terms.push((*partition, *term, *offset)),
                None => return Ok(CommitOutcome::Fenced),
            }
        }
        if with_terms.is_empty() {
            return Ok(CommitOutcome::Committed);
        }
        let (membership, now) = (self.membership.clone(), self.clock.now());
        self.database.write(move |transaction| group::commit(transaction, &membership, &with_terms, now)).await
    }
}

impl Drop for EmbeddedConsumer {
    fn drop(&mut self) {
        let (membership, now) = (self.membership.clone(), self.clock.now());
        let signals = Arc::clone(self.database.signals());
        self.database.write_detached(
            move |transaction| group::leave(transaction, &membership, now),
            move |(): &mut ()| signals.changed.announce(),
        );
    }
}

/// Releases revoked partitions when it is dropped, so that the rebalance continues.
struct Handover {
    database: Database,
    membership: Membership,
    terms: Vec<(Partition, OwnershipTerm)>,
}

impl fmt::Debug for Handover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handover").field("terms", &self.terms).finish_non_exhaustive()
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        let (membership, terms) = (self.membership.clone(), std::mem::take(&mut self.terms));
        let signals = Arc::clone(self.database.signals());
        self.database.write_detached(
            move |transaction| group::release(transaction, &membership, &terms),
            move |(): &mut ()| signals.changed.announce(),
        );
    }
}
