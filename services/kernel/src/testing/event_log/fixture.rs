//! Test records, and members that read them.

use std::{collections::BTreeMap, slice, sync::Arc};

use crate::{
    ports::{
        Assignment, CommitOutcome, Consumer, EventLog, LogEntry, LogRecord, LogSignal, Offset, PartitionEnd,
        RevokeGuard, Watermark,
    },
    testing::{
        TestEnv,
        support::{ATTEMPTS_MAX, SuiteRun},
        yield_now,
    },
    vocabulary::{EventMetadata, Partition, Partitions, Position, RecordedEvent, StreamId, Timestamp, Version},
};

/// Rounds of polls after which an expected signal counts as missing.
const ROUNDS_MAX: usize = 3_000;

/// An event of a partition, derived from its position.
pub(super) fn event(partitions: Partitions, partition: Partition, position: i64) -> LogEntry {
    // As for every event, the entry's partition is that of its stream.
    let stream_id = (0..)
        .map(|number| StreamId::new(&format!("log-{number}")).unwrap())
        .find(|stream_id| partitions.of(stream_id) == partition)
        .unwrap();
    LogEntry::Event(RecordedEvent {
        position: Position::from_i64(position).unwrap(),
        partition,
        stream_id,
        version: Version::new(u32::try_from(position).unwrap()),
        event_type: "test.Happened".into(),
        payload: position.to_be_bytes().to_vec().into(),
        metadata: EventMetadata { traceparent: (position % 2 == 0).then(|| "00-1-2-01".into()) },
        request_id: crate::RequestId::from_bytes([7; 16]),
        recorded_at: Timestamp::from_micros(1_000_000 + position),
    })
}

pub(super) fn watermark(partition: Partition, position: i64) -> LogEntry {
    let position = Position::from_i64(position).unwrap();
    let as_of = Timestamp::from_micros(2_000_000 + position.as_i64());
    LogEntry::Watermark(partition, Watermark { position, as_of, last_event: position })
}

pub(super) fn position(entry: &LogEntry) -> Position {
    match entry {
        LogEntry::Event(event) => event.position,
        LogEntry::Watermark(_, watermark) => watermark.position,
    }
}

/// A group member, with the partitions that it believes it owns and the signals that it received.
pub(super) struct Member<P: TestEnv<Handle: EventLog>> {
    pub(super) name: String,
    consumer: <P::Handle as EventLog>::Consumer,
    /// Owned partitions, each with the next offset to read.
    pub(super) own: BTreeMap<Partition, Offset>,
    /// All records read so far, in order.
    pub(super) read: Vec<LogRecord>,
    /// All partitions revoked so far.
    pub(super) revoked: Vec<Partition>,
    pub(super) assigned: Vec<Assignment>,
    /// True if it seeks to the committed offset of each assigned partition.
    pub(super) seeks_on_assignment: bool,
    /// True if it holds revoke guards instead of dropping them.
    pub(super) holds_guards: bool,
    pub(super) guards: Vec<RevokeGuard>,
}

impl<P: TestEnv<Handle: EventLog>> Member<P> {
    /// The entries read from a partition, without repeats.
    pub(super) fn read_of(&self, partition: Partition) -> Vec<LogEntry> {
        deduplicated(self.read.iter().map(|record| &record.entry), partition)
    }

    /// Returns whether all of these entries have been read.
    pub(super) fn has_read(&self, entries: &[LogEntry]) -> bool {
        entries.iter().all(|entry| self.read.iter().any(|record| record.entry == *entry))
    }

    pub(super) fn consumer(&mut self) -> &mut <P::Handle as EventLog>::Consumer {
        &mut self.consumer
    }

    fn record(&mut self, records: Vec<LogRecord>, limit: usize) {
        assert!(!records.is_empty(), "a record signal must not be empty");
        assert!(records.len() <= limit, "{} records are more than {limit}", records.len());
        for record in records {
            let partition = record.entry.partition();
            let next = self.own.get_mut(&partition).expect("a record of a partition that this member does not own");
            assert!(
                record.offset >= *next,
                "offset {:?} of partition {partition} is below the next offset {next:?}",
                record.offset
            );
            *next = Offset(record.offset.0 + 1);
            self.read.push(record);
        }
    }
}

/// The distinct entries of a partition, in order of first occurrence.
pub(super) fn deduplicated<'a>(entries: impl Iterator<Item = &'a LogEntry>, partition: Partition) -> Vec<LogEntry> {
    let mut seen = Vec::new();
    for entry in entries.filter(|entry| entry.partition() == partition) {
        if !seen.contains(entry) {
            seen.push(entry.clone());
        }
    }
    seen
}

impl<P: TestEnv<Handle: EventLog>> SuiteRun<'_, P> {
    /// Appends entries as a relay does: repeats the append until it is acknowledged.
    pub(super) async fn append(&self, log: &P::Handle, entries: &[LogEntry]) {
        self.retry("append", async || log.append(entries).await).await;
    }

    pub(super) async fn ends(&self, log: &P::Handle) -> Vec<PartitionEnd> {
        let ends = self.retry("ends", async || log.ends().await).await;
        assert_eq!(ends.len(), usize::from(log.partitions().count()), "one end per partition");
        ends
    }

    pub(super) async fn join(&self, log: &Arc<P::Handle>, group: &str, name: &str) -> Member<P> {
        let consumer = self.retry("join", async || log.join(group, name).await).await;
        Member {
            name: name.to_owned(),
            consumer,
            own: BTreeMap::new(),
            read: Vec::new(),
            revoked: Vec::new(),
            assigned: Vec::new(),
            seeks_on_assignment: true,
            holds_guards: false,
            guards: Vec::new(),
        }
    }

    /// Polls a member and handles the signal as a member must. Returns whether there was a signal.
    pub(super) async fn poll(&self, member: &mut Member<P>, limit: usize) -> bool {
        let wait_max = self.env.wait_max();
        let name = member.name.clone();
        match member.consumer().poll(limit, wait_max).await {
            Err(error) if self.is_fault_free() => panic!("poll of {name}: {error}"),
            Err(_) | Ok(LogSignal::Idle) => return false,
            Ok(LogSignal::Records(records)) => member.record(records, limit),
            Ok(LogSignal::Revoked(partitions, guard)) => {
                for partition in &partitions {
                    assert!(
                        member.own.remove(partition).is_some(),
                        "partition {partition} was revoked from {name}, which did not own it"
                    );
                }
                member.revoked.extend(partitions);
                if member.holds_guards {
                    member.guards.push(guard);
                }
            }
            Ok(LogSignal::Assigned(assignments)) => {
                for Assignment { partition, committed } in assignments.iter().copied() {
                    assert!(
                        member.own.insert(partition, committed).is_none(),
                        "partition {partition} was assigned to {name} twice"
                    );
                    if member.seeks_on_assignment {
                        self.seek(member, partition, committed).await;
                    }
                }
                member.assigned.extend(assignments);
            }
        }
        true
    }

    pub(super) async fn seek(&self, member: &mut Member<P>, partition: Partition, offset: Offset) {
        let mut failures = 0;
        while let Err(error) = member.consumer().seek(partition, offset).await {
            failures += 1;
            assert!(!self.is_fault_free() && failures < ATTEMPTS_MAX, "seek: {error}");
        }
        member.own.insert(partition, offset);
    }

    /// Polls all members in turn until a condition is met.
    pub(super) async fn poll_until(
        &self,
        what: &str,
        members: &mut [&mut Member<P>],
        mut is_met: impl FnMut(&[&mut Member<P>]) -> bool,
    ) {
        for _ in 0..ROUNDS_MAX {
            if is_met(members) {
                return;
            }
            for member in &mut *members {
                self.poll(member, 100).await;
            }
            yield_now().await;
        }
        panic!("timed out waiting for: {what}");
    }

    /// Polls a member until it is idle. With injected faults this is skipped, because such a member rereads records
    /// again and again.
    pub(super) async fn settle(&self, member: &mut Member<P>) {
        let mut idle_polls = 0;
        for _ in 0..if self.is_fault_free() { ROUNDS_MAX } else { 0 } {
            idle_polls = if self.poll(member, 100).await { 0 } else { idle_polls + 1 };
            if idle_polls > 3 {
                return;
            }
        }
        assert!(!self.is_fault_free(), "{} never becomes idle", member.name);
    }

    pub(super) async fn commit(&self, member: &mut Member<P>, offsets: &[(Partition, Offset)]) -> CommitOutcome {
        for _ in 0..ATTEMPTS_MAX {
            match member.consumer().commit(offsets).await {
                Ok(outcome) => return outcome,
                Err(error) => assert!(!self.is_fault_free(), "commit: {error}"),
            }
        }
        panic!("commit failed {ATTEMPTS_MAX} times");
    }

    /// Sends a heartbeat of a busy member.
    pub(super) async fn heartbeat(&self, member: &mut Member<P>) {
        member.consumer.heartbeat().await;
    }

    /// Commits everything that the member has read of the partitions that it owns.
    pub(super) async fn commit_all(&self, member: &mut Member<P>) -> CommitOutcome {
        let offsets: Vec<_> = member.own.iter().map(|(partition, next)| (*partition, *next)).collect();
        self.commit(member, &offsets).await
    }

    pub(super) async fn commit_one(
        &self,
        member: &mut Member<P>,
        partition: Partition,
        offset: Offset,
    ) -> CommitOutcome {
        self.commit(member, slice::from_ref(&(partition, offset))).await
    }

    /// Joins as the only member of a group, and waits until it owns all partitions.
    pub(super) async fn sole_member(&self, log: &Arc<P::Handle>, group: &str, name: &str) -> Member<P> {
        let mut member = self.join(log, group, name).await;
        let count = usize::from(log.partitions().count());
        self.poll_until("the sole member owns all partitions", &mut [&mut member], |members| {
            members[0].own.len() == count
        })
        .await;
        member
    }
}
