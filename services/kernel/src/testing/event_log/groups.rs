//! Consumer groups: assignment, rebalances and fencing.

use std::collections::{BTreeMap, BTreeSet};

use super::fixture::{Member, event};
use crate::{
    ports::{CommitOutcome, EventLog, LogEntry, Offset, PartitionEnd},
    testing::{TestEnv, support::SuiteRun},
    vocabulary::{Partition, Partitions},
};

fn own<P: TestEnv<Handle: EventLog>>(member: &Member<P>) -> BTreeSet<Partition> {
    member.own.keys().copied().collect()
}

/// Returns whether every partition is owned and each member owns some.
fn are_shared<P: TestEnv<Handle: EventLog>>(members: &[&mut Member<P>], partitions: Partitions) -> bool {
    let count: usize = members.iter().map(|member| member.own.len()).sum();
    count == usize::from(partitions.count()) && members.iter().all(|member| !member.own.is_empty())
}

#[track_caller]
fn assert_apart<P: TestEnv<Handle: EventLog>>(members: &[&mut Member<P>]) {
    let mut seen = BTreeSet::new();
    for member in members {
        for partition in member.own.keys() {
            assert!(seen.insert(*partition), "partition {partition} has two owners");
        }
    }
}

/// Two members that share the partitions of a group.
async fn pair<P: TestEnv<Handle: EventLog>>(run: &SuiteRun<'_, P>, group: &str) -> (Member<P>, Member<P>) {
    let (log, other) = (run.env.handle().await, run.env.handle().await);
    let mut ada = run.sole_member(&log, group, "ada").await;
    let mut bob = run.join(&other, group, "bob").await;
    let partitions = log.partitions();
    run.poll_until("both members own partitions", &mut [&mut ada, &mut bob], |members| are_shared(members, partitions))
        .await;
    (ada, bob)
}

pub(super) async fn members_share_the_partitions<P: TestEnv<Handle: EventLog>>(run: &SuiteRun<'_, P>) {
    let log = run.env.handle().await;
    let partitions = log.partitions();
    let (mut ada, mut bob) = pair(run, "share").await;
    let mut eve = run.join(&log, "share", "eve").await;
    for _ in 0..3_000 {
        let mut members = [&mut ada, &mut bob, &mut eve];
        for member in &mut members {
            run.poll(member, 100).await;
        }
        assert_apart(&members);
        if are_shared(&members, partitions) {
            break;
        }
    }
    assert!(are_shared(&[&mut ada, &mut bob, &mut eve], partitions), "three members share the partitions");

    // Each entry is read by the owner of its partition.
    let entries: Vec<_> =
        partitions.iter().zip(700..).map(|(partition, number)| event(partitions, partition, number)).collect();
    run.append(&log, &entries).await;
    run.poll_until("all entries are read", &mut [&mut ada, &mut bob, &mut eve], |members| {
        let is_read =
            |entry: &LogEntry| members.iter().any(|member| member.read.iter().any(|record| record.entry == *entry));
        entries.iter().all(is_read)
    })
    .await;
    for member in [&mut ada, &mut bob, &mut eve] {
        assert_eq!(run.commit_all(member).await, CommitOutcome::Committed, "each member commits its own partitions");
    }
}

pub(super) async fn a_revoke_guard_delays_the_rebalance<P: TestEnv<Handle: EventLog>>(run: &SuiteRun<'_, P>) {
    let (log, other) = (run.env.handle().await, run.env.handle().await);
    let partition_count = usize::from(log.partitions().count());
    let mut ada = run.sole_member(&log, "guard", "ada").await;
    // The fault injector simulates revocations; their guards delay nothing.
    if !run.is_fault_free() {
        return;
    }
    ada.holds_guards = true;
    let mut bob = run.join(&other, "guard", "bob").await;
    run.poll_until("ada's partitions are revoked", &mut [&mut ada, &mut bob], |members| !members[0].guards.is_empty())
        .await;
    let taken: BTreeSet<_> = ada.revoked.iter().copied().collect();
    for _ in 0..20 {
        run.poll(&mut bob, 100).await;
        assert!(own(&bob).is_disjoint(&taken), "bob owns partitions that ada has not released");
    }
    // Work in progress can still be committed.
    let offsets: Vec<_> = taken.iter().map(|partition| (*partition, Offset(1))).collect();
    assert_eq!(
        run.commit(&mut ada, &offsets).await,
        CommitOutcome::Committed,
        "commits are accepted until the guard is dropped"
    );
    ada.holds_guards = false;
    ada.guards.clear();
    run.poll_until("bob owns the revoked partitions", &mut [&mut ada, &mut bob], |members| {
        taken.is_subset(&own(members[1])) && members[0].own.len() + members[1].own.len() == partition_count
    })
    .await;
    for assignment in bob.assigned.iter().filter(|assignment| taken.contains(&assignment.partition)) {
        assert_eq!(assignment.committed, Offset(1), "the offset that ada committed last");
    }
    let outcome = run.commit(&mut ada, &offsets).await;
    assert_eq!(outcome, CommitOutcome::Fenced, "the released partitions belong to another member");
}

pub(super) async fn a_zombie_is_fenced<P: TestEnv<Handle: EventLog>>(run: &SuiteRun<'_, P>) {
    let (log, other) = (run.env.handle().await, run.env.handle().await);
    let entries: Vec<_> = log
        .partitions()
        .iter()
        .zip(800..)
        .map(|(partition, number)| event(log.partitions(), partition, number))
        .collect();
    run.append(&log, &entries).await;
    let ends = run.ends(&log).await;
    let mut ada = run.sole_member(&log, "zombie", "ada").await;
    assert_eq!(run.commit_one(&mut ada, Partition::new(0), Offset(0)).await, CommitOutcome::Committed);
    let mut bob = run.join(&other, "zombie", "bob").await;

    // Ada is paused. Time advances in steps, because bob must keep sending heartbeats.
    for _ in 0..10 {
        run.env.advance(run.env.session_timeout() / 4).await;
        for _ in 0..5 {
            run.poll(&mut bob, 100).await;
        }
    }
    run.poll_until("bob owns all partitions", &mut [&mut bob], |members| members[0].own.len() == ends.len()).await;
    run.poll_until("bob has read to the end", &mut [&mut bob], |members| {
        let is_reached = |(end, next): (&PartitionEnd, &Offset)| *next == end.next_offset;
        members[0].own.len() == ends.len() && ends.iter().zip(members[0].own.values()).all(is_reached)
    })
    .await;
    assert_eq!(run.commit_all(&mut bob).await, CommitOutcome::Committed);

    // Ada resumes, still believes that it owns its partitions, and commits.
    for partition in log.partitions().iter() {
        let outcome = run.commit_one(&mut ada, partition, Offset(0)).await;
        assert_eq!(outcome, CommitOutcome::Fenced, "partition {partition} belongs to another member");
    }
    drop((ada, bob));
    let eve = run.sole_member(&log, "zombie", "eve").await;
    for (assignment, end) in last_assignments(&eve).into_iter().zip(&ends) {
        assert_eq!(assignment.1, end.next_offset, "the zombie's commit was stored");
    }
}

/// A member that is busy for longer than the session timeout and sends heartbeats keeps its partitions.
pub(super) async fn heartbeats_keep_a_busy_member_in_its_group<P: TestEnv<Handle: EventLog>>(run: &SuiteRun<'_, P>) {
    let (mut ada, mut bob) = pair(run, "busy").await;
    let (of_ada, of_bob) = (own(&ada), own(&bob));
    ada.revoked.clear();
    for _ in 0..7 {
        run.env.advance(run.env.session_timeout() / 4).await;
        run.heartbeat(&mut ada).await;
        for _ in 0..5 {
            run.poll(&mut bob, 100).await;
        }
    }
    assert!(own(&bob).is_subset(&of_bob), "bob was assigned partitions that ada owns");
    assert_eq!(run.commit_all(&mut ada).await, CommitOutcome::Committed);
    if run.is_fault_free() {
        assert_eq!(own(&ada), of_ada);
        assert_eq!(ada.revoked, [], "partitions were revoked from ada");
    }
}

/// The offset of the newest assignment of each partition, in order of partition.
fn last_assignments<P: TestEnv<Handle: EventLog>>(member: &Member<P>) -> Vec<(Partition, Offset)> {
    let newest: BTreeMap<_, _> =
        member.assigned.iter().map(|assignment| (assignment.partition, assignment.committed)).collect();
    newest.into_iter().collect()
}

pub(super) async fn a_commit_is_atomic<P: TestEnv<Handle: EventLog>>(run: &SuiteRun<'_, P>) {
    let (mut ada, mut bob) = pair(run, "whole").await;
    let mine = *ada.own.keys().next().unwrap();
    let not_mine = *bob.own.keys().next().unwrap();
    let outcome = run.commit(&mut ada, &[(mine, Offset(1)), (not_mine, Offset(1))]).await;
    assert_eq!(outcome, CommitOutcome::Fenced, "one of the partitions belongs to another member");
    assert_eq!(run.commit_one(&mut bob, not_mine, Offset(0)).await, CommitOutcome::Committed);
    drop((ada, bob));
    let eve = run.sole_member(&run.env.handle().await, "whole", "eve").await;
    for (partition, committed) in last_assignments(&eve) {
        assert_eq!(committed, Offset(0), "an offset of partition {partition} was stored");
    }
}

pub(super) async fn a_member_that_rejoins_gets_its_partitions_back<P: TestEnv<Handle: EventLog>>(
    run: &SuiteRun<'_, P>,
) {
    let log = run.env.handle().await;
    let (ada, mut bob) = pair(run, "back").await;
    let (of_ada, of_bob) = (own(&ada), own(&bob));
    bob.revoked.clear();
    drop(ada);
    let mut ada = run.join(&log, "back", "ada").await;
    run.poll_until("ada owns its former partitions again", &mut [&mut ada, &mut bob], |members| {
        own(members[0]) == of_ada && own(members[1]) == of_bob
    })
    .await;
    if run.is_fault_free() {
        let disturbed: Vec<_> = bob.revoked.iter().filter(|partition| of_bob.contains(*partition)).collect();
        assert!(disturbed.is_empty(), "partitions were revoked from bob: {disturbed:?}");
    }
    assert_eq!(run.commit_all(&mut bob).await, CommitOutcome::Committed);
    assert_eq!(run.commit_all(&mut ada).await, CommitOutcome::Committed);
}

pub(super) async fn a_member_that_leaves_is_replaced<P: TestEnv<Handle: EventLog>>(run: &SuiteRun<'_, P>) {
    let (ada, mut bob) = pair(run, "leaves").await;
    let everything = ada.own.len() + bob.own.len();
    drop(ada);
    for _ in 0..10 {
        run.env.advance(run.env.session_timeout() / 4).await;
        for _ in 0..5 {
            run.poll(&mut bob, 100).await;
        }
    }
    run.poll_until("bob owns all partitions", &mut [&mut bob], |members| members[0].own.len() == everything).await;
}
