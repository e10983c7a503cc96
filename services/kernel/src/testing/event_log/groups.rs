//! Members of a group.

use std::collections::{BTreeMap, BTreeSet};

use super::fixture::{Member, event};
use crate::{
    ports::{CommitOutcome, EventLog, LogEntry, Offset, PartitionEnd},
    testing::{TestEnv, support::Trial},
    vocabulary::{Partition, Partitions},
};

fn own<P: TestEnv<Handle: EventLog>>(member: &Member<P>) -> BTreeSet<Partition> {
    member.own.keys().copied().collect()
}

/// Whether every partition is somebody's, and each member has some.
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

/// Two members that share a group.
async fn pair<P: TestEnv<Handle: EventLog>>(trial: &Trial<'_, P>, group: &str) -> (Member<P>, Member<P>) {
    let (log, other) = (trial.env.handle().await, trial.env.handle().await);
    let mut ada = trial.lone_member(&log, group, "ada").await;
    let mut bob = trial.join(&other, group, "bob").await;
    let partitions = log.partitions();
    trial.poll_until("both have some", &mut [&mut ada, &mut bob], |members| are_shared(members, partitions)).await;
    (ada, bob)
}

pub(super) async fn members_share_the_partitions<P: TestEnv<Handle: EventLog>>(trial: &Trial<'_, P>) {
    let log = trial.env.handle().await;
    let partitions = log.partitions();
    let (mut ada, mut bob) = pair(trial, "share").await;
    let mut eve = trial.join(&log, "share", "eve").await;
    for _ in 0..3_000 {
        let mut members = [&mut ada, &mut bob, &mut eve];
        for member in &mut members {
            trial.poll(member, 100).await;
        }
        assert_apart(&members);
        if are_shared(&members, partitions) {
            break;
        }
    }
    assert!(are_shared(&[&mut ada, &mut bob, &mut eve], partitions), "three members share");

    // What is appended is read by whoever has the partition, and by nobody else.
    let entries: Vec<_> =
        partitions.iter().zip(700..).map(|(partition, number)| event(partitions, partition, number)).collect();
    trial.put(&log, &entries).await;
    trial
        .poll_until("all is read", &mut [&mut ada, &mut bob, &mut eve], |members| {
            let is_read =
                |entry: &LogEntry| members.iter().any(|member| member.read.iter().any(|record| record.entry == *entry));
            entries.iter().all(is_read)
        })
        .await;
    for member in [&mut ada, &mut bob, &mut eve] {
        assert_eq!(trial.commit_all(member).await, CommitOutcome::Committed, "each commits its own");
    }
}

pub(super) async fn a_guard_holds_the_group_up<P: TestEnv<Handle: EventLog>>(trial: &Trial<'_, P>) {
    let (log, other) = (trial.env.handle().await, trial.env.handle().await);
    let partition_count = usize::from(log.partitions().count());
    let mut ada = trial.lone_member(&log, "guard", "ada").await;
    // A liar takes partitions away for show; the guard of such a moment holds nothing up.
    if !trial.is_honest() {
        return;
    }
    ada.keeps_guards = true;
    let mut bob = trial.join(&other, "guard", "bob").await;
    trial.poll_until("ada is told", &mut [&mut ada, &mut bob], |members| !members[0].guards.is_empty()).await;
    let taken: BTreeSet<_> = ada.revoked.iter().copied().collect();
    for _ in 0..20 {
        trial.poll(&mut bob, 100).await;
        assert!(own(&bob).is_disjoint(&taken), "bob has what ada has not let go of");
    }
    // What was in flight can be finished.
    let offsets: Vec<_> = taken.iter().map(|partition| (*partition, Offset(1))).collect();
    assert_eq!(trial.commit(&mut ada, &offsets).await, CommitOutcome::Committed, "until the guard is dropped");
    ada.keeps_guards = false;
    ada.guards.clear();
    trial
        .poll_until("bob gets it", &mut [&mut ada, &mut bob], |members| {
            taken.is_subset(&own(members[1])) && members[0].own.len() + members[1].own.len() == partition_count
        })
        .await;
    for assignment in bob.assigned.iter().filter(|assignment| taken.contains(&assignment.partition)) {
        assert_eq!(assignment.committed, Offset(1), "what ada committed last");
    }
    let outcome = trial.commit(&mut ada, &offsets).await;
    assert_eq!(outcome, CommitOutcome::Fenced, "what was let go of is another's");
}

pub(super) async fn a_zombie_is_fenced<P: TestEnv<Handle: EventLog>>(trial: &Trial<'_, P>) {
    let (log, other) = (trial.env.handle().await, trial.env.handle().await);
    let entries: Vec<_> = log
        .partitions()
        .iter()
        .zip(800..)
        .map(|(partition, number)| event(log.partitions(), partition, number))
        .collect();
    trial.put(&log, &entries).await;
    let ends = trial.ends(&log).await;
    let mut ada = trial.lone_member(&log, "zombie", "ada").await;
    assert_eq!(trial.commit_one(&mut ada, Partition::new(0), Offset(0)).await, CommitOutcome::Committed);
    let mut bob = trial.join(&other, "zombie", "bob").await;

    // Ada sleeps. Time goes by in steps, as bob has to show that it lives.
    for _ in 0..10 {
        trial.env.advance(trial.env.session_timeout() / 4).await;
        for _ in 0..5 {
            trial.poll(&mut bob, 100).await;
        }
    }
    trial.poll_until("bob has everything", &mut [&mut bob], |members| members[0].own.len() == ends.len()).await;
    trial
        .poll_until("bob has read all", &mut [&mut bob], |members| {
            let is_reached = |(end, next): (&PartitionEnd, &Offset)| *next == end.next_offset;
            members[0].own.len() == ends.len() && ends.iter().zip(members[0].own.values()).all(is_reached)
        })
        .await;
    assert_eq!(trial.commit_all(&mut bob).await, CommitOutcome::Committed);

    // Ada wakes up, believes that all is as it was, and goes on with its work.
    for partition in log.partitions().iter() {
        let outcome = trial.commit_one(&mut ada, partition, Offset(0)).await;
        assert_eq!(outcome, CommitOutcome::Fenced, "partition {partition} is another's");
    }
    drop((ada, bob));
    let eve = trial.lone_member(&log, "zombie", "eve").await;
    for (assignment, end) in last_assignments(&eve).into_iter().zip(&ends) {
        assert_eq!(assignment.1, end.next_offset, "the zombie's commit was stored");
    }
}

/// Busy for longer than a session, and alive.
pub(super) async fn a_busy_member_keeps_its_partitions<P: TestEnv<Handle: EventLog>>(trial: &Trial<'_, P>) {
    let (mut ada, mut bob) = pair(trial, "busy").await;
    let (of_ada, of_bob) = (own(&ada), own(&bob));
    ada.revoked.clear();
    for _ in 0..7 {
        trial.env.advance(trial.env.session_timeout() / 4).await;
        trial.heartbeat(&mut ada).await;
        for _ in 0..5 {
            trial.poll(&mut bob, 100).await;
        }
    }
    assert!(own(&bob).is_subset(&of_bob), "bob was given what is ada's");
    assert_eq!(trial.commit_all(&mut ada).await, CommitOutcome::Committed);
    if trial.is_honest() {
        assert_eq!(own(&ada), of_ada);
        assert_eq!(ada.revoked, [], "ada was told that it lost something");
    }
}

/// For each partition the newest offset that a member was given, in order.
fn last_assignments<P: TestEnv<Handle: EventLog>>(member: &Member<P>) -> Vec<(Partition, Offset)> {
    let newest: BTreeMap<_, _> =
        member.assigned.iter().map(|assignment| (assignment.partition, assignment.committed)).collect();
    newest.into_iter().collect()
}

pub(super) async fn a_commit_is_stored_whole_or_not<P: TestEnv<Handle: EventLog>>(trial: &Trial<'_, P>) {
    let (mut ada, mut bob) = pair(trial, "whole").await;
    let mine = *ada.own.keys().next().unwrap();
    let not_mine = *bob.own.keys().next().unwrap();
    let outcome = trial.commit(&mut ada, &[(mine, Offset(1)), (not_mine, Offset(1))]).await;
    assert_eq!(outcome, CommitOutcome::Fenced, "a partition of another among them");
    assert_eq!(trial.commit_one(&mut bob, not_mine, Offset(0)).await, CommitOutcome::Committed);
    drop((ada, bob));
    let eve = trial.lone_member(&trial.env.handle().await, "whole", "eve").await;
    for (partition, committed) in last_assignments(&eve) {
        assert_eq!(committed, Offset(0), "of partition {partition} something was stored");
    }
}

pub(super) async fn a_member_that_comes_back_gets_its_partitions<P: TestEnv<Handle: EventLog>>(trial: &Trial<'_, P>) {
    let log = trial.env.handle().await;
    let (ada, mut bob) = pair(trial, "back").await;
    let (of_ada, of_bob) = (own(&ada), own(&bob));
    bob.revoked.clear();
    drop(ada);
    let mut ada = trial.join(&log, "back", "ada").await;
    trial
        .poll_until("ada has its own again", &mut [&mut ada, &mut bob], |members| {
            own(members[0]) == of_ada && own(members[1]) == of_bob
        })
        .await;
    if trial.is_honest() {
        let disturbed: Vec<_> = bob.revoked.iter().filter(|partition| of_bob.contains(*partition)).collect();
        assert!(disturbed.is_empty(), "bob was disturbed: {disturbed:?}");
    }
    assert_eq!(trial.commit_all(&mut bob).await, CommitOutcome::Committed);
    assert_eq!(trial.commit_all(&mut ada).await, CommitOutcome::Committed);
}

pub(super) async fn a_member_that_leaves_is_replaced<P: TestEnv<Handle: EventLog>>(trial: &Trial<'_, P>) {
    let (ada, mut bob) = pair(trial, "leaves").await;
    let everything = ada.own.len() + bob.own.len();
    drop(ada);
    for _ in 0..10 {
        trial.env.advance(trial.env.session_timeout() / 4).await;
        for _ in 0..5 {
            trial.poll(&mut bob, 100).await;
        }
    }
    trial.poll_until("bob has everything", &mut [&mut bob], |members| members[0].own.len() == everything).await;
}
