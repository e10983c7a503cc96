//! Records to put on the log, and members that read them.

use std::{collections::BTreeMap, slice, sync::Arc};

use crate::{
    ports::{
        Assignment, CommitOutcome, Consumer, EventLog, LogEntry, LogRecord, LogSignal, Offset, PartitionEnd,
        RevokeGuard, Watermark,
    },
    testing::{
        TestEnv,
        support::{ATTEMPTS_MAX, Trial},
        yield_now,
    },
    vocabulary::{EventMetadata, Partition, Partitions, Position, RecordedEvent, StreamId, Timestamp, Version},
};

/// How often all members are asked before what they should hear counts as not coming.
const ROUNDS_MAX: usize = 3_000;

/// An event of a partition, made up from its position.
pub(super) fn event(partitions: Partitions, partition: Partition, position: i64) -> LogEntry {
    // The partition of an entry is that of its stream, as for every event there is.
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

/// A member, and what it believes.
pub(super) struct Member<P: TestEnv<Handle: EventLog>> {
    pub(super) name: String,
    consumer: <P::Handle as EventLog>::Consumer,
    /// The partitions that it has, each with the next offset to read.
    pub(super) own: BTreeMap<Partition, Offset>,
    /// All records that it has read, in order.
    pub(super) read: Vec<LogRecord>,
    /// What it has heard, in short.
    pub(super) revoked: Vec<Partition>,
    pub(super) assigned: Vec<Assignment>,
    /// Whether it starts what it is given.
    pub(super) starts: bool,
    /// Whether it keeps guards instead of dropping them.
    pub(super) keeps_guards: bool,
    pub(super) guards: Vec<RevokeGuard>,
}

impl<P: TestEnv<Handle: EventLog>> Member<P> {
    /// The records of a partition that it has read, repeats left out.
    pub(super) fn read_of(&self, partition: Partition) -> Vec<LogEntry> {
        once(self.read.iter().map(|record| &record.entry), partition)
    }

    /// Whether it has read all of these.
    pub(super) fn has_read(&self, entries: &[LogEntry]) -> bool {
        entries.iter().all(|entry| self.read.iter().any(|record| record.entry == *entry))
    }

    pub(super) fn consumer(&mut self) -> &mut <P::Handle as EventLog>::Consumer {
        &mut self.consumer
    }

    fn hear(&mut self, records: Vec<LogRecord>, limit: usize) {
        assert!(!records.is_empty(), "no records are no signal");
        assert!(records.len() <= limit, "{} records are more than {limit}", records.len());
        for record in records {
            let partition = record.entry.partition();
            let next = self.own.get_mut(&partition).expect("a record of a partition that is not this member's");
            assert!(record.offset >= *next, "offset {:?} of partition {partition} comes after {next:?}", record.offset);
            *next = Offset(record.offset.0 + 1);
            self.read.push(record);
        }
    }
}

/// The first of each entry of a partition, in order.
pub(super) fn once<'a>(entries: impl Iterator<Item = &'a LogEntry>, partition: Partition) -> Vec<LogEntry> {
    let mut seen = Vec::new();
    for entry in entries.filter(|entry| entry.partition() == partition) {
        if !seen.contains(entry) {
            seen.push(entry.clone());
        }
    }
    seen
}

impl<P: TestEnv<Handle: EventLog>> Trial<'_, P> {
    /// Puts entries on the log, as a relay has to: until they are acknowledged.
    pub(super) async fn put(&self, log: &P::Handle, entries: &[LogEntry]) {
        self.ask("append", async || log.append(entries).await).await;
    }

    pub(super) async fn ends(&self, log: &P::Handle) -> Vec<PartitionEnd> {
        let ends = self.ask("ends", async || log.ends().await).await;
        assert_eq!(ends.len(), usize::from(log.partitions().count()), "one end per partition");
        ends
    }

    pub(super) async fn join(&self, log: &Arc<P::Handle>, group: &str, name: &str) -> Member<P> {
        let consumer = self.ask("join", async || log.join(group, name).await).await;
        Member {
            name: name.to_owned(),
            consumer,
            own: BTreeMap::new(),
            read: Vec::new(),
            revoked: Vec::new(),
            assigned: Vec::new(),
            starts: true,
            keeps_guards: false,
            guards: Vec::new(),
        }
    }

    /// Asks a member for its next signal, and does what a member has to. Returns whether there was one.
    pub(super) async fn poll(&self, member: &mut Member<P>, limit: usize) -> bool {
        let wait_max = self.env.wait_max();
        let name = member.name.clone();
        match member.consumer().poll(limit, wait_max).await {
            Err(error) if self.is_honest() => panic!("poll of {name}: {error}"),
            Err(_) | Ok(LogSignal::Idle) => return false,
            Ok(LogSignal::Records(records)) => member.hear(records, limit),
            Ok(LogSignal::Revoked(partitions, guard)) => {
                for partition in &partitions {
                    assert!(
                        member.own.remove(partition).is_some(),
                        "{name} loses partition {partition} and had it not"
                    );
                }
                member.revoked.extend(partitions);
                if member.keeps_guards {
                    member.guards.push(guard);
                }
            }
            Ok(LogSignal::Assigned(assignments)) => {
                for Assignment { partition, committed } in assignments.iter().copied() {
                    assert!(
                        member.own.insert(partition, committed).is_none(),
                        "{name} gets partition {partition} twice"
                    );
                    if member.starts {
                        self.start(member, partition, committed).await;
                    }
                }
                member.assigned.extend(assignments);
            }
        }
        true
    }

    pub(super) async fn start(&self, member: &mut Member<P>, partition: Partition, offset: Offset) {
        let mut failures = 0;
        while let Err(error) = member.consumer().seek(partition, offset).await {
            failures += 1;
            assert!(!self.is_honest() && failures < ATTEMPTS_MAX, "seek: {error}");
        }
        member.own.insert(partition, offset);
    }

    /// Asks all members in turn until something is so.
    pub(super) async fn poll_until(
        &self,
        what: &str,
        members: &mut [&mut Member<P>],
        mut is_so: impl FnMut(&[&mut Member<P>]) -> bool,
    ) {
        for _ in 0..ROUNDS_MAX {
            if is_so(members) {
                return;
            }
            for member in &mut *members {
                self.poll(member, 100).await;
            }
            yield_now().await;
        }
        panic!("it did not come to this: {what}");
    }

    /// Asks a member until it has nothing to say. One behind a liar never has: it reads again and again.
    pub(super) async fn settle(&self, member: &mut Member<P>) {
        let mut silences = 0;
        for _ in 0..if self.is_honest() { ROUNDS_MAX } else { 0 } {
            silences = if self.poll(member, 100).await { 0 } else { silences + 1 };
            if silences > 3 {
                return;
            }
        }
        assert!(!self.is_honest(), "there is no end to what {} hears", member.name);
    }

    pub(super) async fn commit(&self, member: &mut Member<P>, offsets: &[(Partition, Offset)]) -> CommitOutcome {
        for _ in 0..ATTEMPTS_MAX {
            match member.consumer().commit(offsets).await {
                Ok(outcome) => return outcome,
                Err(error) => assert!(!self.is_honest(), "commit: {error}"),
            }
        }
        panic!("commit failed {ATTEMPTS_MAX} times");
    }

    /// The member is busy, and says so.
    pub(super) async fn heartbeat(&self, member: &mut Member<P>) {
        member.consumer.heartbeat().await;
    }

    /// Commits everything that the member has read of what it has.
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

    /// The only member of a group, with all partitions.
    pub(super) async fn lone_member(&self, log: &Arc<P::Handle>, group: &str, name: &str) -> Member<P> {
        let mut member = self.join(log, group, name).await;
        let count = usize::from(log.partitions().count());
        self.poll_until("a lone member has everything", &mut [&mut member], |members| members[0].own.len() == count)
            .await;
        member
    }
}
