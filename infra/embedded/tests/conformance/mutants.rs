//! Mutants of the event log: this crate's log with one broken rule, which the suite must catch. The mutants of the
//! other ports are in the kernel.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use diptych_embedded::{EmbeddedConsumer, EmbeddedEventLog};
use diptych_kernel::{
    EventIdentity, Partition, Partitions, Position, RequestId,
    ports::{CommitOutcome, Consumer, EventLog, LogEntry, LogSignal, Offset, PartitionEnd, PortResult, RevokeGuard},
    testing::{TestEnv, event_log},
};

use crate::{run_paused, test_env::EmbeddedTestEnv};

/// The rule that a mutant breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutation {
    None,
    /// Acknowledges the last entry of a batch without storing it.
    LosesLastEntry,
    /// Appends a batch in reverse order.
    ReversesBatches,
    /// Reports watermarks as the last event of a partition.
    CountsWatermarksAsEvents,
    /// All groups share one state.
    SharesOneGroup,
    /// Reports commits as stored without storing them.
    DropsCommits,
    /// Reports fenced commits as stored.
    NeverFences,
    /// Stores a part of a fenced commit.
    CommitsPartially,
    /// Assigns partitions at the offset after the committed one.
    SkipsRecordAfterCommit,
    /// Returns more records than the limit.
    IgnoresLimit,
    /// Does not wait for the revoke guard.
    IgnoresGuard,
    /// Ignores every seek but the first of a partition.
    IgnoresRepeatedSeek,
    /// Treats every member as a new one.
    IgnoresMemberNames,
    /// Ignores heartbeats of busy members.
    IgnoresHeartbeats,
}

struct MutantLog {
    log: Arc<EmbeddedEventLog>,
    mutation: Mutation,
}

impl EventLog for MutantLog {
    type Consumer = MutantConsumer;

    fn partitions(&self) -> Partitions {
        self.log.partitions()
    }

    async fn append(&self, entries: &[LogEntry]) -> PortResult<()> {
        let mut entries = entries.to_vec();
        match self.mutation {
            Mutation::LosesLastEntry if entries.len() > 1 => drop(entries.pop()),
            Mutation::ReversesBatches => entries.reverse(),
            _ => {}
        }
        self.log.append(&entries).await
    }

    async fn ends(&self) -> PortResult<Vec<PartitionEnd>> {
        let mut ends = self.log.ends().await?;
        if self.mutation == Mutation::CountsWatermarksAsEvents {
            for end in ends.iter_mut().filter(|end| end.next_offset > Offset(0)) {
                let position = end.last_event.map_or(Position::START, |event| event.position).plus(1);
                end.last_event = Some(EventIdentity { position, request_id: RequestId::from_bytes([0; 16]) });
            }
        }
        Ok(ends)
    }

    async fn join(&self, group: &str, member: &str) -> PortResult<MutantConsumer> {
        let group = if self.mutation == Mutation::SharesOneGroup { "group" } else { group };
        let new_name = || format!("{member} {}", uuid::Uuid::new_v4());
        let member = if self.mutation == Mutation::IgnoresMemberNames { new_name() } else { member.to_owned() };
        Ok(MutantConsumer {
            consumer: self.log.join(group, &member).await?,
            mutation: self.mutation,
            started: Vec::new(),
        })
    }
}

struct MutantConsumer {
    consumer: EmbeddedConsumer,
    mutation: Mutation,
    started: Vec<Partition>,
}

impl Consumer for MutantConsumer {
    async fn poll(&mut self, limit: usize, wait_max: Duration) -> PortResult<LogSignal> {
        let limit = if self.mutation == Mutation::IgnoresLimit { limit + 1 } else { limit };
        Ok(match self.consumer.poll(limit, wait_max).await? {
            LogSignal::Assigned(mut assignments) if self.mutation == Mutation::SkipsRecordAfterCommit => {
                assignments.iter_mut().for_each(|assignment| assignment.committed.0 += 1);
                LogSignal::Assigned(assignments)
            }
            LogSignal::Revoked(partitions, guard) if self.mutation == Mutation::IgnoresGuard => {
                drop(guard);
                LogSignal::Revoked(partitions, RevokeGuard::new(()))
            }
            other => other,
        })
    }

    async fn heartbeat(&mut self) {
        if self.mutation != Mutation::IgnoresHeartbeats {
            self.consumer.heartbeat().await;
        }
    }

    async fn seek(&mut self, partition: Partition, offset: Offset) -> PortResult<()> {
        if self.mutation == Mutation::IgnoresRepeatedSeek && self.started.contains(&partition) {
            return Ok(());
        }
        self.started.push(partition);
        self.consumer.seek(partition, offset).await
    }

    async fn commit(&mut self, offsets: &[(Partition, Offset)]) -> PortResult<CommitOutcome> {
        match self.mutation {
            Mutation::DropsCommits => Ok(CommitOutcome::Committed),
            Mutation::NeverFences => self.consumer.commit(offsets).await.map(|_| CommitOutcome::Committed),
            Mutation::CommitsPartially => {
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

/// Test environment that wraps every handle in the mutant.
struct MutantTestEnv {
    env: EmbeddedTestEnv<EmbeddedEventLog>,
    mutation: Mutation,
}

impl TestEnv for MutantTestEnv {
    type Handle = MutantLog;

    async fn handle(&self) -> Arc<MutantLog> {
        Arc::new(MutantLog { log: self.env.handle().await, mutation: self.mutation })
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

fn passes(mutation: Mutation) -> bool {
    let run = || {
        let env = MutantTestEnv { env: EmbeddedTestEnv::log_in_memory(), mutation };
        run_paused(1, event_log::suite(&env, 1));
    };
    catch_unwind(AssertUnwindSafe(run)).is_ok()
}

#[test]
fn every_event_log_mutant_is_caught() {
    assert!(passes(Mutation::None), "the wrapper without a mutation must pass");
    let mutations = [
        Mutation::LosesLastEntry,
        Mutation::ReversesBatches,
        Mutation::CountsWatermarksAsEvents,
        Mutation::SharesOneGroup,
        Mutation::DropsCommits,
        Mutation::NeverFences,
        Mutation::CommitsPartially,
        Mutation::SkipsRecordAfterCommit,
        Mutation::IgnoresLimit,
        Mutation::IgnoresGuard,
        Mutation::IgnoresRepeatedSeek,
        Mutation::IgnoresMemberNames,
        Mutation::IgnoresHeartbeats,
    ];
    for mutation in mutations {
        assert!(!passes(mutation), "the suite does not catch {mutation:?}");
    }
}
