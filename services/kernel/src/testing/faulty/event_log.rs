//! Event log with injected faults.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    mem,
    sync::Arc,
    time::Duration,
};

use super::{CallOutcome, FaultInjector};
use crate::{
    ports::{
        Assignment, CommitOutcome, Consumer, EventLog, LogEntry, LogSignal, Offset, PartitionEnd, PortResult,
        RevokeGuard,
    },
    vocabulary::{Partition, Partitions},
};

/// Wraps an event log and injects faults. An append of unknown effect may have appended a prefix of each partition's
/// entries.
#[derive(Debug)]
pub struct FaultyEventLog<L> {
    log: Arc<L>,
    faults: FaultInjector,
}

impl<L: EventLog> FaultyEventLog<L> {
    /// Wraps a log.
    #[must_use]
    pub fn new(log: Arc<L>, faults: FaultInjector) -> Self {
        Self { log, faults }
    }

    /// Returns a random prefix of each partition's entries.
    fn random_prefixes(&self, entries: &[LogEntry]) -> Vec<LogEntry> {
        let mut left = BTreeMap::new();
        for entry in entries {
            *left.entry(entry.partition()).or_insert(0_usize) += 1;
        }
        left.values_mut().for_each(|count| *count = self.faults.random_below(*count + 1));
        let is_kept = |entry: &&LogEntry| match left.get_mut(&entry.partition()) {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        };
        entries.iter().filter(is_kept).cloned().collect()
    }
}

impl<L: EventLog> EventLog for FaultyEventLog<L> {
    type Consumer = FaultyConsumer<L::Consumer>;

    fn partitions(&self) -> Partitions {
        self.log.partitions()
    }

    async fn append(&self, entries: &[LogEntry]) -> PortResult<()> {
        match self.faults.next_outcome() {
            CallOutcome::Done => self.log.append(entries).await,
            CallOutcome::NotDone => Err(self.faults.not_done("append")),
            CallOutcome::NotDoneUnreported => Err(self.faults.unknown("append")),
            CallOutcome::DoneUnreported => {
                let done = if self.faults.random_bool(0.5) { entries.to_vec() } else { self.random_prefixes(entries) };
                if !done.is_empty() {
                    self.log.append(&done).await?;
                }
                Err(self.faults.unknown("append"))
            }
        }
    }

    async fn ends(&self) -> PortResult<Vec<PartitionEnd>> {
        self.faults.intercept("ends", self.log.ends()).await
    }

    async fn join(&self, group: &str, member: &str) -> PortResult<Self::Consumer> {
        // After an unreported join, the member is dropped here and joins again under the same name.
        let consumer = self.faults.intercept("join", self.log.join(group, member)).await?;
        Ok(FaultyConsumer::new(consumer, self.faults.clone()))
    }
}

/// Wraps a consumer and injects faults: returns the signals of failed polls later, and simulates short revocations,
/// after which the caller seeks back to the committed offset and rereads records.
#[derive(Debug)]
pub struct FaultyConsumer<C> {
    consumer: C,
    faults: FaultInjector,
    /// Signals that were received or simulated, and not returned yet.
    pending: VecDeque<LogSignal>,
    /// Committed offsets of the assigned partitions, as far as known.
    committed: BTreeMap<Partition, Offset>,
    /// Assigned partitions without a seek: their records must not be returned.
    unstarted: BTreeSet<Partition>,
}

impl<C: Consumer> FaultyConsumer<C> {
    fn new(consumer: C, faults: FaultInjector) -> Self {
        Self { consumer, faults, pending: VecDeque::new(), committed: BTreeMap::new(), unstarted: BTreeSet::new() }
    }

    /// Returns the next signal, which may be a simulated one.
    async fn next_signal(&mut self, limit: usize, wait_max: Duration) -> PortResult<LogSignal> {
        if let Some(pending) = self.pending.pop_front() {
            return Ok(self.split_to_limit(pending, limit));
        }
        if self.faults.injects_anomaly()
            && let Some(revoked) = self.simulate_revocation()
        {
            return Ok(revoked);
        }
        let mut signal = self.consumer.poll(limit, wait_max).await?;
        match &mut signal {
            LogSignal::Assigned(assignments) => {
                self.committed
                    .extend(assignments.iter().map(|assignment| (assignment.partition, assignment.committed)));
                self.unstarted.extend(assignments.iter().map(|assignment| assignment.partition));
            }
            LogSignal::Revoked(partitions, _) => {
                self.committed.retain(|partition, _| !partitions.contains(partition));
                self.unstarted.retain(|partition| !partitions.contains(partition));
            }
            // The wrapped consumer does not know about a simulated revocation.
            LogSignal::Records(records) => {
                records.retain(|record| !self.unstarted.contains(&record.entry.partition()));
                if records.is_empty() {
                    return Ok(LogSignal::Idle);
                }
            }
            LogSignal::Idle => {}
        }
        Ok(signal)
    }

    /// Simulates the revocation of one partition, which the next poll assigns again.
    fn simulate_revocation(&mut self) -> Option<LogSignal> {
        let owned: Vec<_> =
            self.committed.iter().filter(|(partition, _)| !self.unstarted.contains(partition)).collect();
        let (&partition, &committed) = *owned.get(self.faults.random_below(owned.len()))?;
        self.unstarted.insert(partition);
        self.pending.push_back(LogSignal::Assigned(vec![Assignment { partition, committed }]));
        Some(LogSignal::Revoked(vec![partition], RevokeGuard::new(())))
    }

    /// Splits records that were fetched with a larger limit.
    fn split_to_limit(&mut self, signal: LogSignal, limit: usize) -> LogSignal {
        match signal {
            LogSignal::Records(mut records) if records.len() > limit.max(1) => {
                self.pending.push_front(LogSignal::Records(records.split_off(limit.max(1))));
                LogSignal::Records(records)
            }
            other => other,
        }
    }

    /// Discards pending records of a partition after a seek.
    fn discard_pending(&mut self, partition: Partition) {
        for signal in mem::take(&mut self.pending) {
            let left = match signal {
                LogSignal::Records(mut records) => {
                    records.retain(|record| record.entry.partition() != partition);
                    LogSignal::Records(records)
                }
                other => other,
            };
            if !matches!(&left, LogSignal::Records(records) if records.is_empty()) {
                self.pending.push_back(left);
            }
        }
    }
}

impl<C: Consumer> Consumer for FaultyConsumer<C> {
    async fn poll(&mut self, limit: usize, wait_max: Duration) -> PortResult<LogSignal> {
        match self.faults.next_outcome() {
            CallOutcome::Done => self.next_signal(limit, wait_max).await,
            CallOutcome::NotDone => Err(self.faults.not_done("poll")),
            CallOutcome::NotDoneUnreported => Err(self.faults.unknown("poll")),
            CallOutcome::DoneUnreported => {
                // Nothing may be lost: the next poll returns the signal.
                let signal = self.next_signal(limit, wait_max).await?;
                self.pending.push_front(signal);
                Err(self.faults.unknown("poll"))
            }
        }
    }

    async fn heartbeat(&mut self) {
        self.consumer.heartbeat().await;
    }

    async fn seek(&mut self, partition: Partition, offset: Offset) -> PortResult<()> {
        let call_outcome = self.faults.next_outcome();
        if matches!(call_outcome, CallOutcome::Done | CallOutcome::DoneUnreported) {
            self.consumer.seek(partition, offset).await?;
            self.discard_pending(partition);
            self.unstarted.remove(&partition);
        }
        match call_outcome {
            CallOutcome::Done => Ok(()),
            CallOutcome::NotDone => Err(self.faults.not_done("seek")),
            CallOutcome::DoneUnreported | CallOutcome::NotDoneUnreported => Err(self.faults.unknown("seek")),
        }
    }

    async fn commit(&mut self, offsets: &[(Partition, Offset)]) -> PortResult<CommitOutcome> {
        let call_outcome = self.faults.next_outcome();
        if matches!(call_outcome, CallOutcome::NotDone) {
            return Err(self.faults.not_done("commit"));
        }
        if matches!(call_outcome, CallOutcome::NotDoneUnreported) {
            return Err(self.faults.unknown("commit"));
        }
        let outcome = self.consumer.commit(offsets).await?;
        if outcome == CommitOutcome::Committed {
            for (partition, offset) in offsets {
                self.committed.entry(*partition).and_modify(|committed| *committed = *offset);
            }
        }
        if call_outcome == CallOutcome::Done { Ok(outcome) } else { Err(self.faults.unknown("commit")) }
    }
}
