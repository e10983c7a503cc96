//! Members of a consumer group.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use diptych_kafka::{KafkaConfig, KafkaConsumer, KafkaEventLog};
use diptych_kernel::{
    Partition,
    ports::{CommitOutcome, Consumer, EventLog, LogSignal, Offset, Remedy, RevokeGuard},
};
use futures::FutureExt;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::harness;

/// A member that starts every assigned partition and records what it owns.
struct Member {
    consumer: KafkaConsumer,
    owned: BTreeSet<Partition>,
    guards: Vec<RevokeGuard>,
    keeps_guards: bool,
}

impl Member {
    async fn join(log: &Arc<KafkaEventLog>, group: &str, name: &str) -> Self {
        let consumer = log.join(group, name).await.unwrap();
        Self { consumer, owned: BTreeSet::new(), guards: Vec::new(), keeps_guards: false }
    }

    async fn poll(&mut self) {
        match self.consumer.poll(100, Duration::from_millis(20)).await.unwrap() {
            LogSignal::Assigned(assignments) => {
                for assignment in assignments {
                    assert!(self.owned.insert(assignment.partition));
                    self.consumer.seek(assignment.partition, assignment.committed).await.unwrap();
                }
            }
            LogSignal::Revoked(partitions, guard) => {
                for partition in partitions {
                    assert!(self.owned.remove(&partition));
                }
                if self.keeps_guards {
                    self.guards.push(guard);
                }
            }
            LogSignal::Records(_) | LogSignal::Idle => {}
        }
    }
}

async fn poll_until(members: &mut [&mut Member], mut condition: impl FnMut(&[&mut Member]) -> bool) {
    let deadline = Instant::now() + harness::WAIT_MAX;
    while !condition(members) {
        assert!(Instant::now() < deadline, "timed out");
        for member in &mut *members {
            member.poll().await;
        }
    }
}

fn group() -> String {
    format!("members {}", Uuid::new_v4())
}

/// Configuration with a session that does not expire on a slow machine.
fn long_session_config(servers: &str) -> KafkaConfig {
    let mut config = harness::config(servers);
    config.session_timeout = Duration::from_secs(60);
    config.poll_interval_max = Duration::from_secs(60);
    config
}

const ALL: usize = harness::PARTITIONS as usize;

#[tokio::test]
async fn a_dropped_future_loses_no_record() {
    let Some(servers) = harness::servers() else { return };
    let log = harness::open(&long_session_config(&servers)).await;
    let entries: Vec<_> = (1..=400).map(|number| harness::event(u16::try_from(number % 4).unwrap(), number)).collect();
    log.append(&entries).await.unwrap();
    let mut consumer = log.join(&group(), "ada").await.unwrap();
    let (mut read, mut dropped) = (Vec::new(), 0);
    let deadline = Instant::now() + harness::WAIT_MAX;
    for limit in (1..=5).cycle() {
        if read.len() == entries.len() {
            break;
        }
        assert!(Instant::now() < deadline, "only {} records were delivered", read.len());
        // Poll once without waiting, then wait a little.
        let signal = match consumer.poll(limit, Duration::from_secs(100)).now_or_never() {
            Some(signal) => Ok(signal),
            None => {
                dropped += 1;
                timeout(Duration::from_millis(1 + dropped % 3), consumer.poll(limit, Duration::from_secs(100))).await
            }
        };
        match signal {
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
    for partition in 0..harness::PARTITIONS {
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
async fn a_start_discards_records_that_were_not_delivered() {
    let Some(servers) = harness::servers() else { return };
    let log = harness::open(&long_session_config(&servers)).await;
    let entries: Vec<_> = (1..=100).map(|number| harness::event(1, number)).collect();
    log.append(&entries).await.unwrap();
    let mut consumer = log.join(&group(), "ada").await.unwrap();
    drop(harness::read_until(&mut consumer, Offset(0), |read| read.len() == entries.len()).await);
    for round in 0..20_u64 {
        consumer.seek(Partition::new(1), Offset(0)).await.unwrap();
        // Dropped at some point, so that records may have been polled and not delivered.
        let _ = timeout(Duration::from_millis(round), consumer.poll(10, Duration::from_secs(100))).await;
        consumer.seek(Partition::new(1), Offset(50)).await.unwrap();
        let read = harness::read_until(&mut consumer, Offset(0), |read| !read.is_empty()).await;
        assert_eq!(read[0].offset, Offset(50));
    }
}

#[tokio::test]
async fn a_held_guard_delays_a_rebalance_for_revoke_wait_max_only() {
    let Some(servers) = harness::servers() else { return };
    let mut config = harness::config(&servers);
    config.poll_interval_max = Duration::from_secs(10);
    config.revoke_wait_max = Duration::from_secs(4);
    let (log, group) = (harness::open(&config).await, group());
    let mut ada = Member::join(&log, &group, "ada").await;
    poll_until(&mut [&mut ada], |members| members[0].owned.len() == ALL).await;
    ada.keeps_guards = true;
    // The revocation begins after this, and before it is delivered.
    let before_revocation = Instant::now();
    let mut bob = Member::join(&log, &group, "bob").await;
    poll_until(&mut [&mut ada, &mut bob], |members| !members[0].guards.is_empty()).await;
    let revoked: Vec<_> =
        (0..harness::PARTITIONS).map(Partition::new).filter(|partition| !ada.owned.contains(partition)).collect();
    poll_until(&mut [&mut ada, &mut bob], |members| !members[1].owned.is_empty()).await;
    assert!(before_revocation.elapsed() >= config.revoke_wait_max, "the guard was not waited for");
    let outcome = ada.consumer.commit(&[(revoked[0], Offset(0))]).await.unwrap();
    assert_eq!(outcome, CommitOutcome::Fenced, "its deadline has passed");
    // Dropping the guard now changes nothing.
    ada.guards.clear();
    poll_until(&mut [&mut ada, &mut bob], |members| members[0].owned.len() + members[1].owned.len() == ALL).await;
}

#[tokio::test]
async fn a_member_rejoins_after_its_session_expired() {
    let Some(servers) = harness::servers() else { return };
    let config = harness::config(&servers);
    let (log, group) = (harness::open(&config).await, group());
    let mut ada = Member::join(&log, &group, "ada").await;
    poll_until(&mut [&mut ada], |members| members[0].owned.len() == ALL).await;
    tokio::time::sleep(config.session_timeout + Duration::from_millis(100)).await;
    let outcome = ada.consumer.commit(&[(Partition::new(0), Offset(0))]).await.unwrap();
    assert_eq!(outcome, CommitOutcome::Fenced);
    // Starting a partition that it no longer owns does not fail, and has no effect.
    ada.consumer.seek(Partition::new(0), Offset(0)).await.unwrap();
    ada.poll().await;
    assert!(ada.owned.is_empty(), "it learns first that all partitions are lost");
    poll_until(&mut [&mut ada], |members| members[0].owned.len() == ALL).await;
    let outcome = ada.consumer.commit(&[(Partition::new(0), Offset(0))]).await.unwrap();
    assert_eq!(outcome, CommitOutcome::Committed);
}

#[tokio::test]
async fn a_member_that_never_polled_rejoins_after_its_session_expired() {
    let Some(servers) = harness::servers() else { return };
    let config = harness::config(&servers);
    let (log, group) = (harness::open(&config).await, group());
    let mut ada = Member::join(&log, &group, "ada").await;
    // The group assigns all partitions to it meanwhile; that event is still in librdkafka when the session expires.
    tokio::time::sleep(config.session_timeout + Duration::from_millis(100)).await;
    timeout(harness::WAIT_MAX, poll_until(&mut [&mut ada], |members| members[0].owned.len() == ALL))
        .await
        .expect("it did not rejoin");
}

#[tokio::test]
async fn a_member_that_missed_a_rebalance_rejoins() {
    let Some(servers) = harness::servers() else { return };
    let config = harness::config(&servers);
    let (log, group) = (harness::open(&config).await, group());
    let mut ada = Member::join(&log, &group, "ada").await;
    poll_until(&mut [&mut ada], |members| members[0].owned.len() == ALL).await;
    let mut bob = Member::join(&log, &group, "bob").await;
    let asleep_until = Instant::now() + config.session_timeout + Duration::from_millis(100);
    poll_until(&mut [&mut bob], |_| Instant::now() > asleep_until).await;
    let share = |members: &[&mut Member]| {
        members[0].owned.len() + members[1].owned.len() == ALL && !members[0].owned.is_empty()
    };
    timeout(harness::WAIT_MAX, poll_until(&mut [&mut ada, &mut bob], share)).await.expect("it did not rejoin");
}

#[tokio::test]
async fn the_later_of_two_members_with_one_name_fences_the_earlier() {
    let Some(servers) = harness::servers() else { return };
    let (log, group) = (harness::open(&long_session_config(&servers)).await, group());
    let mut first = Member::join(&log, &group, "ada").await;
    poll_until(&mut [&mut first], |members| members[0].owned.len() == ALL).await;
    let mut second = Member::join(&log, &group, "ada").await;
    poll_until(&mut [&mut second], |members| members[0].owned.len() == ALL).await;
    let deadline = Instant::now() + harness::WAIT_MAX;
    let error = loop {
        assert!(Instant::now() < deadline, "the first was not fenced");
        match first.consumer.poll(1, Duration::from_millis(20)).await {
            Err(error) => break error,
            Ok(_) => second.poll().await,
        }
    };
    assert_eq!(error.remedy(), Remedy::Operator);
    assert!(error.to_string().contains("give each process its own name (--instance"), "{error}");
    let outcome = first.consumer.commit(&[(Partition::new(0), Offset(3))]).await.unwrap();
    assert_eq!(outcome, CommitOutcome::Fenced);
    second.poll().await;
    let outcome = second.consumer.commit(&[(Partition::new(0), Offset(1))]).await.unwrap();
    assert_eq!(outcome, CommitOutcome::Committed);
}

#[tokio::test]
async fn an_invalid_group_or_member_name_is_refused() {
    let Some(servers) = harness::servers() else { return };
    let log = harness::open(&harness::config(&servers)).await;
    for (group, member) in [("", "ada"), ("group", ""), ("gr\0up", "ada")] {
        let error = log.join(group, member).await.unwrap_err();
        assert_eq!(error.remedy(), Remedy::Operator, "{error}");
        assert!(error.to_string().contains("invalid consumer "), "{error}");
    }
}
