//! Reading by a sole member.

use futures::future::join;

use super::fixture::{Member, deduplicated, event, watermark};
use crate::{
    ports::{CommitOutcome, Consumer, EventLog, LogEntry, LogSignal, Offset},
    testing::{
        TestEnv,
        support::{SuiteRun, TIMEOUT},
        yield_now,
    },
    vocabulary::{Partition, Partitions},
};

/// Test events with consecutive positions, spread over three partitions. Each test uses a hundred positions of its own.
fn some_events(partitions: Partitions, from: i64, count: i64) -> Vec<LogEntry> {
    let all: Vec<_> = partitions.iter().collect();
    (from..from + count).map(|number| event(partitions, all[usize::try_from(number).unwrap() % 3], number)).collect()
}

pub(super) async fn records_keep_their_order<P: TestEnv<Handle: EventLog>>(run: &SuiteRun<'_, P>) {
    let (log, other) = (run.env.handle().await, run.env.handle().await);
    let partitions = log.partitions();
    let starts = run.ends(&log).await;
    let mut entries = some_events(partitions, 100, 20);
    entries.insert(7, watermark(Partition::new(1), 106));
    entries.push(watermark(Partition::new(2), 120));
    // In chunks, through both handles in turn.
    for (chunk, log) in entries.chunks(5).zip([&log, &other].into_iter().cycle()) {
        run.append(log, chunk).await;
    }
    for limit in [1, 4, 100] {
        let mut member = run.join(&other, &format!("order {limit}"), "ada").await;
        member.seeks_on_assignment = false;
        let everything = usize::from(partitions.count());
        run.poll_until("all partitions are assigned", &mut [&mut member], |members| members[0].own.len() == everything)
            .await;
        member.seeks_on_assignment = true;
        for (partition, end) in partitions.iter().zip(&starts) {
            run.seek(&mut member, partition, end.next_offset).await;
        }
        let mut polls = 0;
        while !member.has_read(&entries) {
            run.poll(&mut member, limit).await;
            polls += 1;
            assert!(polls < 3_000, "not every appended entry was read");
        }
        run.settle(&mut member).await;
        for partition in partitions.iter() {
            let mut read = member.read_of(partition);
            // With injected faults, the member may have reread the partition from its start.
            read.retain(|entry| run.is_fault_free() || entries.contains(entry));
            assert_eq!(read, deduplicated(entries.iter(), partition), "records are read in the order of appending");
        }
        assert!(member.read.len() == entries.len() || !run.is_fault_free(), "each record is read once");
    }
}

pub(super) async fn groups_are_independent<P: TestEnv<Handle: EventLog>>(run: &SuiteRun<'_, P>) {
    let log = run.env.handle().await;
    let mut first = run.sole_member(&log, "independent one", "ada").await;
    let mut second = run.sole_member(&log, "independent two", "ada").await;
    let entries = some_events(log.partitions(), 200, 10);
    run.append(&log, &entries).await;
    for member in [&mut first, &mut second] {
        run.poll_until("all entries are read", &mut [&mut *member], |members| members[0].has_read(&entries)).await;
        assert_eq!(run.commit_all(member).await, CommitOutcome::Committed);
    }
    // A group that joins later reads everything too.
    let mut late = run.sole_member(&log, "independent late", "ada").await;
    if run.is_fault_free() {
        assert!(
            late.assigned.iter().all(|assignment| assignment.committed == Offset(0)),
            "a new group starts at offset 0"
        );
    }
    run.poll_until("all entries are read", &mut [&mut late], |members| members[0].has_read(&entries)).await;
}

pub(super) async fn a_group_resumes_at_its_committed_offset<P: TestEnv<Handle: EventLog>>(run: &SuiteRun<'_, P>) {
    let (log, other) = (run.env.handle().await, run.env.handle().await);
    let partition = Partition::new(1);
    let entries: Vec<_> = (300..310).map(|number| event(log.partitions(), partition, number)).collect();
    run.append(&log, &entries).await;
    let end = run.ends(&log).await[1].next_offset;

    let mut member = run.sole_member(&log, "resumes", "ada").await;
    run.poll_until("all entries are read", &mut [&mut member], |members| members[0].own.get(&partition) == Some(&end))
        .await;
    let committed = member.read.iter().find(|record| record.entry == entries[4]).unwrap().offset;
    assert_eq!(run.commit_one(&mut member, partition, committed).await, CommitOutcome::Committed);
    drop(member);

    // Another member, through another handle, rereads what was read and not committed.
    let mut member = run.sole_member(&other, "resumes", "bob").await;
    let assignment = member.assigned.iter().find(|assignment| assignment.partition == partition).unwrap();
    assert_eq!(assignment.committed, committed);
    run.poll_until("the remaining entries are read", &mut [&mut member], |members| {
        members[0].own.get(&partition) == Some(&end)
    })
    .await;
    let read = member.read_of(partition);
    assert!(member.has_read(&entries[4..]), "uncommitted entries are lost");
    // With injected faults, an entry may have been appended twice.
    let is_strict = run.is_fault_free();
    assert!(
        !is_strict || read == deduplicated(entries[4..].iter(), partition),
        "reading must start at the committed offset"
    );
    assert_eq!(run.commit_all(&mut member).await, CommitOutcome::Committed);
    drop(member);
    let member = run.sole_member(&log, "resumes", "ada").await;
    let assignment = member.assigned.iter().find(|assignment| assignment.partition == partition).unwrap();
    assert_eq!(assignment.committed, end);
}

pub(super) async fn seek_moves_back_and_forward<P: TestEnv<Handle: EventLog>>(run: &SuiteRun<'_, P>) {
    let log = run.env.handle().await;
    let partition = Partition::new(2);
    let entries: Vec<_> = (400..406).map(|number| event(log.partitions(), partition, number)).collect();
    run.append(&log, &entries).await;
    let end = run.ends(&log).await[2].next_offset;
    let mut member = run.sole_member(&log, "starts", "ada").await;
    run.poll_until("all entries are read", &mut [&mut member], |members| members[0].own.get(&partition) == Some(&end))
        .await;
    let offset_of = |entry: &LogEntry| member.read.iter().find(|record| record.entry == *entry).unwrap().offset;
    let (third, fifth) = (offset_of(&entries[2]), offset_of(&entries[4]));

    // Seeks back, and then forward over records that were read.
    for (from, expected) in [(third, &entries[2..]), (fifth, &entries[4..]), (end, &[][..])] {
        run.settle(&mut member).await;
        member.read.clear();
        run.seek(&mut member, partition, from).await;
        run.poll_until("the entries are read again", &mut [&mut member], |members| members[0].has_read(expected)).await;
        run.settle(&mut member).await;
        if run.is_fault_free() {
            assert_eq!(member.read_of(partition), deduplicated(expected.iter(), partition));
        }
    }
    let next = [event(log.partitions(), partition, 406)];
    run.append(&log, &next).await;
    run.poll_until("a later entry is read", &mut [&mut member], |members| members[0].has_read(&next)).await;
}

pub(super) async fn nothing_is_read_before_seek<P: TestEnv<Handle: EventLog>>(run: &SuiteRun<'_, P>) {
    let log = run.env.handle().await;
    let entries = some_events(log.partitions(), 500, 9);
    run.append(&log, &entries).await;
    let ends = run.ends(&log).await;
    let mut member = run.join(&log, "not started", "ada").await;
    member.seeks_on_assignment = false;
    let everything = ends.len();
    run.poll_until("all partitions are assigned", &mut [&mut member], |members| members[0].own.len() == everything)
        .await;
    for _ in 0..10 {
        run.poll(&mut member, 100).await;
    }
    assert!(member.read.is_empty(), "records were read before seek");
    // After a seek in one partition, the others are still not read.
    run.seek(&mut member, Partition::new(0), Offset(0)).await;
    if run.is_fault_free() {
        let end = ends[0].next_offset;
        run.poll_until("the partition is read", &mut [&mut member], |members| {
            members[0].own[&Partition::new(0)] == end
        })
        .await;
    }
    for _ in 0..20 {
        run.poll(&mut member, 100).await;
    }
    assert!(member.read.iter().all(|record| record.entry.partition() == Partition::new(0)));
}

pub(super) async fn an_append_ends_the_wait<P: TestEnv<Handle: EventLog>>(run: &SuiteRun<'_, P>) {
    let log = run.env.handle().await;
    let ends = run.ends(&log).await;
    let mut member = run.sole_member(&log, "waits", "ada").await;
    if run.is_fault_free() {
        // An idle poll does not prove that everything was read: on a busy machine, records may still arrive.
        let is_at_the_ends = |members: &[&mut Member<P>]| {
            let mut all = log.partitions().iter().zip(&ends);
            all.all(|(partition, end)| members[0].own.get(&partition) == Some(&end.next_offset))
        };
        run.poll_until("all entries are read", &mut [&mut member], is_at_the_ends).await;
    }
    let entries = [event(log.partitions(), Partition::new(0), 600)];
    let wait = run.env.timeout(TIMEOUT, member.consumer().poll(10, TIMEOUT * 100));
    let put = async {
        yield_now().await;
        run.append(&log, &entries).await;
    };
    let (signal, ()) = join(wait, put).await;
    let signal = signal.expect("an append did not end the wait");
    if run.is_fault_free() {
        let Ok(LogSignal::Records(records)) = signal else { panic!("expected records, got {signal:?}") };
        assert_eq!(records.iter().map(|record| record.entry.clone()).collect::<Vec<_>>(), entries);
    }
    let returned = run.env.timeout(TIMEOUT, member.consumer().poll(10, run.env.wait_max())).await;
    assert!(returned.is_some(), "waited longer than wait_max");
}
