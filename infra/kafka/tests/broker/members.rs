//! Members of a group.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use diptych_kafka::{KafkaConsumer, KafkaEventLog};
use diptych_kernel::{
    Partition,
    ports::{CommitOutcome, Consumer, EventLog, LogSignal, Offset, Remedy, RevokeGuard},
};
use futures::FutureExt;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::site;

/// A member that takes up what it is given, and remembers what it has.
struct Member {
    consumer: KafkaConsumer,
    own: BTreeSet<Partition>,
    guards: Vec<RevokeGuard>,
    keeps_guards: bool,
}

impl Member {
    async fn join(log: &Arc<KafkaEventLog>, group: &str, name: &str) -> Self {
        let consumer = log.join(group, name).await.unwrap();
        Self { consumer, own: BTreeSet::new(), guards: Vec::new(), keeps_guards: false }
    }

    async fn poll(&mut self) {
        match self.consumer.poll(100, Duration::from_millis(20)).await.unwrap() {
            LogSignal::Assigned(assignments) => {
                for assignment in assignments {
                    assert!(self.own.insert(assignment.partition));
                    self.consumer.seek(assignment.partition, assignment.committed).await.unwrap();
                }
            }
            LogSignal::Revoked(partitions, guard) => {
                for partition in partitions {
                    assert!(self.own.remove(&partition));
                }
                if self.keeps_guards {
                    self.guards.push(guard);
                }
            }
            LogSignal::Records(_) | LogSignal::Idle => {}
        }
    }
}

async fn poll_until(members: &mut [&mut Member], mut is_so: impl FnMut(&[&mut Member]) -> bool) {
    let deadline = Instant::now() + site::BOUND;
    while !is_so(members) {
        assert!(Instant::now() < deadline, "it did not come to this");
        for member in &mut *members {
            member.poll().await;
        }
    }
}

fn group() -> String {
    format!("members {}", Uuid::new_v4())
}

const ALL: usize = site::PARTITIONS as usize;

#[tokio::test]
async fn a_future_that_is_dropped_loses_nothing() {
    let Some(servers) = site::servers() else { return };
    let log = site::open(&site::config(&servers)).await;
    let entries: Vec<_> = (1..=400).map(|number| site::event(u16::try_from(number % 4).unwrap(), number)).collect();
    log.append(&entries).await.unwrap();
    let mut consumer = log.join(&group(), "ada").await.unwrap();
    let (mut read, mut dropped) = (Vec::new(), 0);
    let deadline = Instant::now() + site::BOUND;
    for limit in (1..=5).cycle() {
        if read.len() == entries.len() {
            break;
        }
        assert!(Instant::now() < deadline, "only {} records came", read.len());
        // Asked and not waited for, then waited for a little.
        let heard = match consumer.poll(limit, Duration::from_secs(100)).now_or_never() {
            Some(heard) => Ok(heard),
            None => {
                dropped += 1;
                timeout(Duration::from_millis(1 + dropped % 3), consumer.poll(limit, Duration::from_secs(100))).await
            }
        };
        match heard {
            Err(_) => dropped += 1,
            Ok(Ok(LogSignal::Records(records))) => {
                assert!(records.len() <= limit);
                read.extend(records.into_iter().map(|record| record.entry));
            }
            Ok(Ok(LogSignal::Assigned(assignments))) => {
                for assignment in assignments {
                    consumer.seek(assignment.partition, assignment.committed).await.unwrap();
                }
            }
            Ok(other) => panic!("{other:?}"),
        }
    }
    assert!(dropped > 50, "futures were dropped {dropped} times");
    for partition in 0..site::PARTITIONS {
        let of = |entries: &[_]| -> Vec<_> {
            let of_partition = entries
                .iter()
                .filter(|entry: &&diptych_kernel::ports::LogEntry| entry.partition() == Partition::new(partition));
            of_partition.cloned().collect()
        };
        assert_eq!(of(&read), of(&entries), "each record once, in order");
    }
}

#[tokio::test]
async fn a_start_outdates_what_nobody_has_heard() {
    let Some(servers) = site::servers() else { return };
    let log = site::open(&site::config(&servers)).await;
    let entries: Vec<_> = (1..=100).map(|number| site::event(1, number)).collect();
    log.append(&entries).await.unwrap();
    let mut consumer = log.join(&group(), "ada").await.unwrap();
    drop(site::read_until(&mut consumer, Offset(0), |read| read.len() == entries.len()).await);
    for round in 0..20_u64 {
        consumer.seek(Partition::new(1), Offset(0)).await.unwrap();
        // Dropped somewhere on the way, so that records may have been taken and not been heard.
        let _ = timeout(Duration::from_millis(round), consumer.poll(10, Duration::from_secs(100))).await;
        consumer.seek(Partition::new(1), Offset(50)).await.unwrap();
        let read = site::read_until(&mut consumer, Offset(0), |read| !read.is_empty()).await;
        assert_eq!(read[0].offset, Offset(50));
    }
}

#[tokio::test]
async fn a_guard_that_is_kept_holds_the_group_up_no_longer_than_agreed() {
    let Some(servers) = site::servers() else { return };
    let mut config = site::config(&servers);
    config.session = Duration::from_secs(6);
    config.revoke_wait_max = Duration::from_secs(1);
    let (log, group) = (site::open(&config).await, group());
    let mut ada = Member::join(&log, &group, "ada").await;
    poll_until(&mut [&mut ada], |members| members[0].own.len() == ALL).await;
    ada.keeps_guards = true;
    let mut bob = Member::join(&log, &group, "bob").await;
    poll_until(&mut [&mut ada, &mut bob], |members| !members[0].guards.is_empty()).await;
    let told = Instant::now();
    let taken: Vec<_> =
        (0..site::PARTITIONS).map(Partition::new).filter(|partition| !ada.own.contains(partition)).collect();
    poll_until(&mut [&mut ada, &mut bob], |members| !members[1].own.is_empty()).await;
    assert!(told.elapsed() >= config.revoke_wait_max, "the guard was not waited for");
    let outcome = ada.consumer.commit(&[(taken[0], Offset(0))]).await.unwrap();
    assert_eq!(outcome, CommitOutcome::Fenced, "its time is over");
    // Dropped too late, it changes nothing.
    ada.guards.clear();
    poll_until(&mut [&mut ada, &mut bob], |members| members[0].own.len() + members[1].own.len() == ALL).await;
}

#[tokio::test]
async fn a_member_that_was_silent_begins_anew() {
    let Some(servers) = site::servers() else { return };
    let config = site::config(&servers);
    let (log, group) = (site::open(&config).await, group());
    let mut ada = Member::join(&log, &group, "ada").await;
    poll_until(&mut [&mut ada], |members| members[0].own.len() == ALL).await;
    tokio::time::sleep(config.session + Duration::from_millis(100)).await;
    let outcome = ada.consumer.commit(&[(Partition::new(0), Offset(0))]).await.unwrap();
    assert_eq!(outcome, CommitOutcome::Fenced);
    // What it still believes to have does not fail, and nothing comes of it.
    ada.consumer.seek(Partition::new(0), Offset(0)).await.unwrap();
    ada.poll().await;
    assert!(ada.own.is_empty(), "it hears first that it has lost everything");
    poll_until(&mut [&mut ada], |members| members[0].own.len() == ALL).await;
    let outcome = ada.consumer.commit(&[(Partition::new(0), Offset(0))]).await.unwrap();
    assert_eq!(outcome, CommitOutcome::Committed);
}

#[tokio::test]
async fn a_member_that_has_never_listened_begins_anew() {
    let Some(servers) = site::servers() else { return };
    let config = site::config(&servers);
    let (log, group) = (site::open(&config).await, group());
    let mut ada = Member::join(&log, &group, "ada").await;
    // The group gives it everything meanwhile, which librdkafka still has to tell when the member gives its seat up.
    tokio::time::sleep(config.session + Duration::from_millis(100)).await;
    timeout(site::BOUND, poll_until(&mut [&mut ada], |members| members[0].own.len() == ALL))
        .await
        .expect("it does not come back");
}

#[tokio::test]
async fn a_member_that_slept_through_a_change_of_the_group_begins_anew() {
    let Some(servers) = site::servers() else { return };
    let config = site::config(&servers);
    let (log, group) = (site::open(&config).await, group());
    let mut ada = Member::join(&log, &group, "ada").await;
    poll_until(&mut [&mut ada], |members| members[0].own.len() == ALL).await;
    let mut bob = Member::join(&log, &group, "bob").await;
    let asleep_until = Instant::now() + config.session + Duration::from_millis(100);
    poll_until(&mut [&mut bob], |_| Instant::now() > asleep_until).await;
    let share =
        |members: &[&mut Member]| members[0].own.len() + members[1].own.len() == ALL && !members[0].own.is_empty();
    timeout(site::BOUND, poll_until(&mut [&mut ada, &mut bob], share)).await.expect("it does not come back");
}

#[tokio::test]
async fn the_later_of_two_members_of_one_name_has_the_seat() {
    let Some(servers) = site::servers() else { return };
    let (log, group) = (site::open(&site::config(&servers)).await, group());
    let mut first = Member::join(&log, &group, "ada").await;
    poll_until(&mut [&mut first], |members| members[0].own.len() == ALL).await;
    let mut second = Member::join(&log, &group, "ada").await;
    poll_until(&mut [&mut second], |members| members[0].own.len() == ALL).await;
    let deadline = Instant::now() + site::BOUND;
    let error = loop {
        assert!(Instant::now() < deadline, "the first was not shut out");
        match first.consumer.poll(1, Duration::from_millis(20)).await {
            Err(error) => break error,
            Ok(_) => second.poll().await,
        }
    };
    assert_eq!(error.remedy(), Remedy::Operator);
    assert!(error.to_string().contains("give each member its own name"), "{error}");
    let outcome = first.consumer.commit(&[(Partition::new(0), Offset(3))]).await.unwrap();
    assert_eq!(outcome, CommitOutcome::Fenced);
    second.poll().await;
    let outcome = second.consumer.commit(&[(Partition::new(0), Offset(1))]).await.unwrap();
    assert_eq!(outcome, CommitOutcome::Committed);
}

#[tokio::test]
async fn a_name_that_cannot_be_one_is_refused() {
    let Some(servers) = site::servers() else { return };
    let log = site::open(&site::config(&servers)).await;
    for (group, member) in [("", "ada"), ("group", ""), ("gr\0up", "ada")] {
        let error = log.join(group, member).await.unwrap_err();
        assert_eq!(error.remedy(), Remedy::Operator, "{error}");
    }
}
