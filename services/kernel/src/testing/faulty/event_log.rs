//! An event log that lies.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    mem,
    sync::Arc,
    time::Duration,
};

use super::{Fate, FaultInjector};
use crate::{
    ports::{
        Assignment, CommitOutcome, Consumer, EventLog, LogEntry, LogSignal, Offset, PartitionEnd, PortResult,
        RevokeGuard,
    },
    vocabulary::{Partition, Partitions},
};

/// Any event log behind a liar. An append of unknown effect may have put a first part on each partition.
#[derive(Debug)]
pub struct FaultyEventLog<L> {
    log: Arc<L>,
    faults: FaultInjector,
}

impl<L: EventLog> FaultyEventLog<L> {
    /// Puts a liar before a log.
    #[must_use]
    pub fn new(log: Arc<L>, faults: FaultInjector) -> Self {
        Self { log, faults }
    }

    /// Of each partition a first part.
    fn first_parts(&self, entries: &[LogEntry]) -> Vec<LogEntry> {
        let mut left = BTreeMap::new();
        for entry in entries {
            *left.entry(entry.partition()).or_insert(0_usize) += 1;
        }
        left.values_mut().for_each(|count| *count = self.faults.below(*count + 1));
        let belongs = |entry: &&LogEntry| match left.get_mut(&entry.partition()) {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        };
        entries.iter().filter(belongs).cloned().collect()
    }
}

impl<L: EventLog> EventLog for FaultyEventLog<L> {
    type Consumer = FaultyConsumer<L::Consumer>;

    fn partitions(&self) -> Partitions {
        self.log.partitions()
    }

    async fn append(&self, entries: &[LogEntry]) -> PortResult<()> {
        match self.faults.fate() {
            Fate::Done => self.log.append(entries).await,
            Fate::NotDone => Err(self.faults.not_done("append")),
            Fate::NotDoneUnreported => Err(self.faults.unknown("append")),
            Fate::DoneUnreported => {
                let done = if self.faults.toss(0.5) { entries.to_vec() } else { self.first_parts(entries) };
                if !done.is_empty() {
                    self.log.append(&done).await?;
                }
                Err(self.faults.unknown("append"))
            }
        }
    }

    async fn ends(&self) -> PortResult<Vec<PartitionEnd>> {
        self.faults.around("ends", self.log.ends()).await
    }

    async fn join(&self, group: &str, member: &str) -> PortResult<Self::Consumer> {
        // A member that joined and was not heard of is dropped here, and comes back under the same name.
        let consumer = self.faults.around("join", self.log.join(group, member)).await?;
        Ok(FaultyConsumer::new(consumer, self.faults.clone()))
    }
}

/// A consumer behind a liar. It fails, gives back what it failed with later, and takes partitions away for a moment, so that the
/// group's offset is gone back to and records come again.
#[derive(Debug)]
pub struct FaultyConsumer<C> {
    consumer: C,
    faults: FaultInjector,
    /// Signals that were taken from the consumer, or made up, and not told yet.
    held: VecDeque<LogSignal>,
    /// What the group is known to have got to, of the partitions that are read.
    committed: BTreeMap<Partition, Offset>,
    /// Partitions that were given and not started: nothing of them may be told.
    silent: BTreeSet<Partition>,
}

impl<C: Consumer> FaultyConsumer<C> {
    fn new(consumer: C, faults: FaultInjector) -> Self {
        Self { consumer, faults, held: VecDeque::new(), committed: BTreeMap::new(), silent: BTreeSet::new() }
    }

    /// The next signal, made-up ones among them.
    async fn next_true(&mut self, limit: usize, wait_max: Duration) -> PortResult<LogSignal> {
        if let Some(held) = self.held.pop_front() {
            return Ok(self.cut(held, limit));
        }
        if self.faults.plays_a_trick()
            && let Some(revoked) = self.take_one_away()
        {
            return Ok(revoked);
        }
        let mut signal = self.consumer.poll(limit, wait_max).await?;
        match &mut signal {
            LogSignal::Assigned(assignments) => {
                self.committed.extend(assignments.iter().map(|given| (given.partition, given.committed)));
                self.silent.extend(assignments.iter().map(|given| given.partition));
            }
            LogSignal::Revoked(partitions, _) => {
                self.committed.retain(|partition, _| !partitions.contains(partition));
                self.silent.retain(|partition| !partitions.contains(partition));
            }
            // The consumer behind does not know that the partition was taken away for show.
            LogSignal::Records(records) => {
                records.retain(|record| !self.silent.contains(&record.entry.partition()));
                if records.is_empty() {
                    return Ok(LogSignal::Idle);
                }
            }
            LogSignal::Idle => {}
        }
        Ok(signal)
    }

    /// Takes one of the partitions away for show, to be given back at the next call.
    fn take_one_away(&mut self) -> Option<LogSignal> {
        let owned: Vec<_> = self.committed.iter().filter(|(partition, _)| !self.silent.contains(partition)).collect();
        let (&partition, &committed) = *owned.get(self.faults.below(owned.len()))?;
        self.silent.insert(partition);
        self.held.push_back(LogSignal::Assigned(vec![Assignment { partition, committed }]));
        Some(LogSignal::Revoked(vec![partition], RevokeGuard::new(())))
    }

    /// Records that were fetched under another limit are told in pieces.
    fn cut(&mut self, signal: LogSignal, limit: usize) -> LogSignal {
        match signal {
            LogSignal::Records(mut records) if records.len() > limit.max(1) => {
                self.held.push_front(LogSignal::Records(records.split_off(limit.max(1))));
                LogSignal::Records(records)
            }
            other => other,
        }
    }

    /// Drops what was fetched of a partition, as it is read from elsewhere now.
    fn drop_held(&mut self, partition: Partition) {
        for signal in mem::take(&mut self.held) {
            let left = match signal {
                LogSignal::Records(mut records) => {
                    records.retain(|record| record.entry.partition() != partition);
                    LogSignal::Records(records)
                }
                other => other,
            };
            if !matches!(&left, LogSignal::Records(records) if records.is_empty()) {
                self.held.push_back(left);
            }
        }
    }
}

impl<C: Consumer> Consumer for FaultyConsumer<C> {
    async fn poll(&mut self, limit: usize, wait_max: Duration) -> PortResult<LogSignal> {
        match self.faults.fate() {
            Fate::Done => self.next_true(limit, wait_max).await,
            Fate::NotDone => Err(self.faults.not_done("poll")),
            Fate::NotDoneUnreported => Err(self.faults.unknown("poll")),
            Fate::DoneUnreported => {
                // Nothing may be lost: what was not told is told later.
                let signal = self.next_true(limit, wait_max).await?;
                self.held.push_front(signal);
                Err(self.faults.unknown("poll"))
            }
        }
    }

    async fn heartbeat(&mut self) {
        self.consumer.heartbeat().await;
    }

    async fn seek(&mut self, partition: Partition, offset: Offset) -> PortResult<()> {
        let fate = self.faults.fate();
        if matches!(fate, Fate::Done | Fate::DoneUnreported) {
            self.consumer.seek(partition, offset).await?;
            self.drop_held(partition);
            self.silent.remove(&partition);
        }
        match fate {
            Fate::Done => Ok(()),
            Fate::NotDone => Err(self.faults.not_done("seek")),
            Fate::DoneUnreported | Fate::NotDoneUnreported => Err(self.faults.unknown("seek")),
        }
    }

    async fn commit(&mut self, offsets: &[(Partition, Offset)]) -> PortResult<CommitOutcome> {
        let fate = self.faults.fate();
        if matches!(fate, Fate::NotDone) {
            return Err(self.faults.not_done("commit"));
        }
        if matches!(fate, Fate::NotDoneUnreported) {
            return Err(self.faults.unknown("commit"));
        }
        let outcome = self.consumer.commit(offsets).await?;
        if outcome == CommitOutcome::Committed {
            for (partition, offset) in offsets {
                self.committed.entry(*partition).and_modify(|committed| *committed = *offset);
            }
        }
        if fate == Fate::Done { Ok(outcome) } else { Err(self.faults.unknown("commit")) }
    }
}
