//! Who watches the suite of the log: the log of this crate with one thing broken must not pass. The other suites are watched in the kernel.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use diptych_embedded::{EmbeddedConsumer, EmbeddedEventLog};
use diptych_kernel::{
    Partition, Partitions,
    ports::{CommitOutcome, Consumer, EventLog, LogEntry, LogSignal, Offset, PartitionEnd, PortResult, RevokeGuard},
    testing::{TestEnv, event_log},
};

use crate::{run_paused, test_env::EmbeddedTestEnv};

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// Acknowledges what it does not keep.
    LosesTheLastEntry,
    /// Puts a batch on the log in the wrong order.
    TurnsBatchesRound,
    /// Counts watermarks as events.
    WatermarkIsLastEvent,
    /// All groups are one.
    OneGroup,
    /// Says that a commit was stored, and does nothing.
    ForgetsCommits,
    /// Says that a commit was stored which was fenced.
    FencesNobody,
    /// Stores what it can of a commit that is fenced.
    CommitsAPart,
    /// Tells the offset after the committed one.
    SkipsARecord,
    /// Gives more records than asked for.
    IgnoresTheLimit,
    /// Does not wait for the guard.
    IgnoresTheGuard,
    /// Reads on where it is, wherever it is told to start.
    CannotGoBack,
    /// Every member is a new one.
    ForgetsNames,
    /// Takes a busy member for dead.
    IsDeafToSignsOfLife,
}

struct MutantLog {
    log: Arc<EmbeddedEventLog>,
    fault: Fault,
}

impl EventLog for MutantLog {
    type Consumer = MutantConsumer;

    fn partitions(&self) -> Partitions {
        self.log.partitions()
    }

    async fn append(&self, entries: &[LogEntry]) -> PortResult<()> {
        let mut entries = entries.to_vec();
        match self.fault {
            Fault::LosesTheLastEntry if entries.len() > 1 => drop(entries.pop()),
            Fault::TurnsBatchesRound => entries.reverse(),
            _ => {}
        }
        self.log.append(&entries).await
    }

    async fn ends(&self) -> PortResult<Vec<PartitionEnd>> {
        let mut ends = self.log.ends().await?;
        if self.fault == Fault::WatermarkIsLastEvent {
            for end in ends.iter_mut().filter(|end| end.next_offset > Offset(0)) {
                end.last_event = Some(end.last_event.unwrap_or_default().plus(1));
            }
        }
        Ok(ends)
    }

    async fn join(&self, group: &str, member: &str) -> PortResult<MutantConsumer> {
        let group = if self.fault == Fault::OneGroup { "group" } else { group };
        let new_name = || format!("{member} {}", uuid::Uuid::new_v4());
        let member = if self.fault == Fault::ForgetsNames { new_name() } else { member.to_owned() };
        Ok(MutantConsumer { consumer: self.log.join(group, &member).await?, fault: self.fault, started: Vec::new() })
    }
}

struct MutantConsumer {
    consumer: EmbeddedConsumer,
    fault: Fault,
    started: Vec<Partition>,
}

impl Consumer for MutantConsumer {
    async fn poll(&mut self, limit: usize, wait_max: Duration) -> PortResult<LogSignal> {
        let limit = if self.fault == Fault::IgnoresTheLimit { limit + 1 } else { limit };
        Ok(match self.consumer.poll(limit, wait_max).await? {
            LogSignal::Assigned(mut assignments) if self.fault == Fault::SkipsARecord => {
                assignments.iter_mut().for_each(|assignment| assignment.committed.0 += 1);
                LogSignal::Assigned(assignments)
            }
            LogSignal::Revoked(partitions, guard) if self.fault == Fault::IgnoresTheGuard => {
                drop(guard);
                LogSignal::Revoked(partitions, RevokeGuard::new(()))
            }
            other => other,
        })
    }

    async fn heartbeat(&mut self) {
        if self.fault != Fault::IsDeafToSignsOfLife {
            self.consumer.heartbeat().await;
        }
    }

    async fn seek(&mut self, partition: Partition, offset: Offset) -> PortResult<()> {
        if self.fault == Fault::CannotGoBack && self.started.contains(&partition) {
            return Ok(());
        }
        self.started.push(partition);
        self.consumer.seek(partition, offset).await
    }

    async fn commit(&mut self, offsets: &[(Partition, Offset)]) -> PortResult<CommitOutcome> {
        match self.fault {
            Fault::ForgetsCommits => Ok(CommitOutcome::Committed),
            Fault::FencesNobody => self.consumer.commit(offsets).await.map(|_| CommitOutcome::Committed),
            Fault::CommitsAPart => {
                let mut outcome = CommitOutcome::Committed;
                for offset in offsets {
                    if self.consumer.commit(&[*offset]).await? == CommitOutcome::Fenced {
                        outcome = CommitOutcome::Fenced;
                    }
                }
                Ok(outcome)
            }
            _ => self.consumer.commit(offsets).await,
        }
    }
}

/// The place of a log, with the fault before every handle.
struct MutantTestEnv {
    env: EmbeddedTestEnv<EmbeddedEventLog>,
    fault: Fault,
}

impl TestEnv for MutantTestEnv {
    type Handle = MutantLog;

    async fn handle(&self) -> Arc<MutantLog> {
        Arc::new(MutantLog { log: self.env.handle().await, fault: self.fault })
    }

    async fn advance(&self, by: Duration) {
        self.env.advance(by).await;
    }

    async fn timeout<T>(&self, bound: Duration, future: impl Future<Output = T>) -> Option<T> {
        self.env.timeout(bound, future).await
    }

    fn session_timeout(&self) -> Duration {
        self.env.session_timeout()
    }
}

fn passes(fault: Fault) -> bool {
    let run = || {
        let env = MutantTestEnv { env: EmbeddedTestEnv::log_in_memory(), fault };
        run_paused(1, event_log::suite(&env, 1));
    };
    catch_unwind(AssertUnwindSafe(run)).is_ok()
}

#[test]
fn a_broken_log_is_caught() {
    assert!(passes(Fault::None), "the wrapper itself breaks nothing");
    let faults = [
        Fault::LosesTheLastEntry,
        Fault::TurnsBatchesRound,
        Fault::WatermarkIsLastEvent,
        Fault::OneGroup,
        Fault::ForgetsCommits,
        Fault::FencesNobody,
        Fault::CommitsAPart,
        Fault::SkipsARecord,
        Fault::IgnoresTheLimit,
        Fault::IgnoresTheGuard,
        Fault::CannotGoBack,
        Fault::ForgetsNames,
        Fault::IsDeafToSignsOfLife,
    ];
    for fault in faults {
        assert!(!passes(fault), "the suite is content with {fault:?}");
    }
}
