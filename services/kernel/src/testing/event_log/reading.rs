//! What a lone member reads.

use futures::future::join;

use super::fixture::{Member, event, once, watermark};
use crate::{
    ports::{CommitOutcome, Consumer, EventLog, LogEntry, LogSignal, Offset},
    testing::{
        TestEnv,
        support::{BOUND, Trial},
        yield_now,
    },
    vocabulary::{Partition, Partitions},
};

/// Positions of these tests; each takes its own hundred.
fn some_events(partitions: Partitions, from: i64, count: i64) -> Vec<LogEntry> {
    let all: Vec<_> = partitions.iter().collect();
    (from..from + count).map(|number| event(partitions, all[usize::try_from(number).unwrap() % 3], number)).collect()
}

pub(super) async fn records_keep_their_order<P: TestEnv<Handle: EventLog>>(trial: &Trial<'_, P>) {
    let (log, other) = (trial.env.handle().await, trial.env.handle().await);
    let partitions = log.partitions();
    let starts = trial.ends(&log).await;
    let mut entries = some_events(partitions, 100, 20);
    entries.insert(7, watermark(Partition::new(1), 106));
    entries.push(watermark(Partition::new(2), 120));
    // In pieces, from either handle.
    for (piece, log) in entries.chunks(5).zip([&log, &other].into_iter().cycle()) {
        trial.put(log, piece).await;
    }
    for limit in [1, 4, 100] {
        let mut member = trial.join(&other, &format!("order {limit}"), "ada").await;
        member.starts = false;
        let everything = usize::from(partitions.count());
        trial.poll_until("all is assigned", &mut [&mut member], |members| members[0].own.len() == everything).await;
        member.starts = true;
        for (partition, end) in partitions.iter().zip(&starts) {
            trial.start(&mut member, partition, end.next_offset).await;
        }
        let mut polls = 0;
        while !member.has_read(&entries) {
            trial.poll(&mut member, limit).await;
            polls += 1;
            assert!(polls < 3_000, "not all that was appended is read");
        }
        trial.settle(&mut member).await;
        for partition in partitions.iter() {
            let mut read = member.read_of(partition);
            // A member that was taken aback by a liar has read from the start.
            read.retain(|entry| trial.is_honest() || entries.contains(entry));
            assert_eq!(read, once(entries.iter(), partition), "in the order of appending");
        }
        assert!(member.read.len() == entries.len() || !trial.is_honest(), "each record once");
    }
}

pub(super) async fn groups_are_independent<P: TestEnv<Handle: EventLog>>(trial: &Trial<'_, P>) {
    let log = trial.env.handle().await;
    let mut first = trial.lone_member(&log, "independent one", "ada").await;
    let mut second = trial.lone_member(&log, "independent two", "ada").await;
    let entries = some_events(log.partitions(), 200, 10);
    trial.put(&log, &entries).await;
    for member in [&mut first, &mut second] {
        trial.poll_until("all is read", &mut [&mut *member], |members| members[0].has_read(&entries)).await;
        assert_eq!(trial.commit_all(member).await, CommitOutcome::Committed);
    }
    // A group that comes later reads all of it too.
    let mut late = trial.lone_member(&log, "independent late", "ada").await;
    if trial.is_honest() {
        assert!(late.assigned.iter().all(|assignment| assignment.committed == Offset(0)), "where it never committed");
    }
    trial.poll_until("all is read", &mut [&mut late], |members| members[0].has_read(&entries)).await;
}

pub(super) async fn a_group_goes_on_where_it_committed<P: TestEnv<Handle: EventLog>>(trial: &Trial<'_, P>) {
    let (log, other) = (trial.env.handle().await, trial.env.handle().await);
    let partition = Partition::new(1);
    let entries: Vec<_> = (300..310).map(|number| event(log.partitions(), partition, number)).collect();
    trial.put(&log, &entries).await;
    let end = trial.ends(&log).await[1].next_offset;

    let mut member = trial.lone_member(&log, "goes on", "ada").await;
    trial.poll_until("all is read", &mut [&mut member], |members| members[0].own.get(&partition) == Some(&end)).await;
    let env = member.read.iter().find(|record| record.entry == entries[4]).unwrap().offset;
    assert_eq!(trial.commit_one(&mut member, partition, env).await, CommitOutcome::Committed);
    drop(member);

    // Another member through another handle: what was read and not committed comes again.
    let mut member = trial.lone_member(&other, "goes on", "bob").await;
    let given = member.assigned.iter().find(|assignment| assignment.partition == partition).unwrap();
    assert_eq!(given.committed, env);
    trial
        .poll_until("the rest is read", &mut [&mut member], |members| members[0].own.get(&partition) == Some(&end))
        .await;
    let read = member.read_of(partition);
    assert!(member.has_read(&entries[4..]), "what was not committed is lost");
    // Appended twice, it may be there twice.
    let is_strict = trial.is_honest();
    assert!(!is_strict || read == once(entries[4..].iter(), partition), "from the committed offset, not from before");
    assert_eq!(trial.commit_all(&mut member).await, CommitOutcome::Committed);
    drop(member);
    let member = trial.lone_member(&log, "goes on", "ada").await;
    let given = member.assigned.iter().find(|assignment| assignment.partition == partition).unwrap();
    assert_eq!(given.committed, end);
}

pub(super) async fn reading_starts_where_it_is_told_to<P: TestEnv<Handle: EventLog>>(trial: &Trial<'_, P>) {
    let log = trial.env.handle().await;
    let partition = Partition::new(2);
    let entries: Vec<_> = (400..406).map(|number| event(log.partitions(), partition, number)).collect();
    trial.put(&log, &entries).await;
    let end = trial.ends(&log).await[2].next_offset;
    let mut member = trial.lone_member(&log, "starts", "ada").await;
    trial.poll_until("all is read", &mut [&mut member], |members| members[0].own.get(&partition) == Some(&end)).await;
    let offset_of = |entry: &LogEntry| member.read.iter().find(|record| record.entry == *entry).unwrap().offset;
    let (third, fifth) = (offset_of(&entries[2]), offset_of(&entries[4]));

    // Back, and forward over what was read.
    for (from, expected) in [(third, &entries[2..]), (fifth, &entries[4..]), (end, &[][..])] {
        trial.settle(&mut member).await;
        member.read.clear();
        trial.start(&mut member, partition, from).await;
        trial.poll_until("it is read again", &mut [&mut member], |members| members[0].has_read(expected)).await;
        trial.settle(&mut member).await;
        if trial.is_honest() {
            assert_eq!(member.read_of(partition), once(expected.iter(), partition));
        }
    }
    let next = [event(log.partitions(), partition, 406)];
    trial.put(&log, &next).await;
    trial.poll_until("what comes later is read", &mut [&mut member], |members| members[0].has_read(&next)).await;
}

pub(super) async fn nothing_is_read_before_it_is_started<P: TestEnv<Handle: EventLog>>(trial: &Trial<'_, P>) {
    let log = trial.env.handle().await;
    let entries = some_events(log.partitions(), 500, 9);
    trial.put(&log, &entries).await;
    let ends = trial.ends(&log).await;
    let mut member = trial.join(&log, "not started", "ada").await;
    member.starts = false;
    let everything = ends.len();
    trial.poll_until("all is assigned", &mut [&mut member], |members| members[0].own.len() == everything).await;
    for _ in 0..10 {
        trial.poll(&mut member, 100).await;
    }
    assert!(member.read.is_empty(), "nothing was started");
    // One is started; the others keep silent.
    trial.start(&mut member, Partition::new(0), Offset(0)).await;
    if trial.is_honest() {
        let end = ends[0].next_offset;
        trial.poll_until("it is read", &mut [&mut member], |members| members[0].own[&Partition::new(0)] == end).await;
    }
    for _ in 0..20 {
        trial.poll(&mut member, 100).await;
    }
    assert!(member.read.iter().all(|record| record.entry.partition() == Partition::new(0)));
}

pub(super) async fn waiting_ends_with_an_append<P: TestEnv<Handle: EventLog>>(trial: &Trial<'_, P>) {
    let log = trial.env.handle().await;
    let ends = trial.ends(&log).await;
    let mut member = trial.lone_member(&log, "waits", "ada").await;
    if trial.is_honest() {
        // Silence alone says nothing: a log on a busy machine may be silent with records to come.
        let is_at_the_ends = |members: &[&mut Member<P>]| {
            let mut all = log.partitions().iter().zip(&ends);
            all.all(|(partition, end)| members[0].own.get(&partition) == Some(&end.next_offset))
        };
        trial.poll_until("all is read", &mut [&mut member], is_at_the_ends).await;
    }
    let entries = [event(log.partitions(), Partition::new(0), 600)];
    let wait = trial.env.timeout(BOUND, member.consumer().poll(10, BOUND * 100));
    let put = async {
        yield_now().await;
        trial.put(&log, &entries).await;
    };
    let (heard, ()) = join(wait, put).await;
    let heard = heard.expect("an append was slept through");
    if trial.is_honest() {
        let Ok(LogSignal::Records(records)) = heard else { panic!("records were expected: {heard:?}") };
        assert_eq!(records.iter().map(|record| record.entry.clone()).collect::<Vec<_>>(), entries);
    }
    let bored = trial.env.timeout(BOUND, member.consumer().poll(10, trial.env.wait_max())).await;
    assert!(bored.is_some(), "waited longer than its wait_max");
}
