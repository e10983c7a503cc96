//! A consumer-group member.
//!
//! librdkafka's consumer belongs to a thread of the member's own (`kafka-member`), which makes all blocking calls. The
//! consumer that the port returns only sends commands to it and waits for the answers, so that a future can be dropped
//! at any time: an answer that was not received is returned by the next call.
//!
//! - `identity`: the member's name, and its subscription.
//! - `thread`: the loop that executes commands, and closes an inactive member.
//! - `poll`: the poll loop behind [`Consumer::poll`].
//! - `rebalance_callback`: librdkafka's callback; `rebalance`: assignment and revocation on the thread.
//! - `positions`: the next offset of each partition; `seek`: [`Consumer::seek`]; `commit`: [`Consumer::commit`].
//!
//! **A member is alive if it asks for its next signal** or calls [`Consumer::heartbeat`]. librdkafka is polled only
//! while [`Consumer::poll`] waits; its heartbeats are sent regardless, so that the session timeout, which is shorter,
//! detects a process that is gone. If a member does neither for [`KafkaConfig::poll_interval_max`], the thread closes
//! the consumer, which ends the heartbeats, and its commits are fenced. The next call returns that all partitions are
//! lost, and the member then rejoins under its name.

mod command;
mod commit;
mod errors;
mod identity;
mod partition_list;
mod poll;
mod positions;
mod rebalance;
mod rebalance_callback;
mod seek;
mod thread;

use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
    sync::{Arc, mpsc::Sender},
    time::Duration,
};

use diptych_kernel::{
    Partition,
    ports::{CommitOutcome, Consumer, LogRecord, LogSignal, Offset, PortError, PortResult},
};
use tokio::{sync::oneshot, time::Instant};

use self::{command::MemberCommand, identity::MemberIdentity};
use crate::config::KafkaConfig;

/// Upper bound of the time that one call waits.
const WAIT_MAX: Duration = Duration::from_hours(24);

/// A consumer-group member on Kafka. Leaves when it is dropped: its partitions stay reserved for its name until its
/// session timeout has passed, and are then assigned to others.
pub struct KafkaConsumer {
    identity: Arc<MemberIdentity>,
    commands: Sender<MemberCommand>,
    /// The answer to the last poll, if it was not received yet.
    pending_poll: Option<oneshot::Receiver<PortResult<LogSignal>>>,
    /// Partitions that were started elsewhere since that poll: its records of them are outdated.
    outdated: BTreeSet<Partition>,
    /// Records of an answer to a poll with a larger limit.
    buffered: VecDeque<LogRecord>,
}

impl fmt::Debug for KafkaConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConsumer").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl KafkaConsumer {
    /// Joins a group. The first signals come when the group has assigned partitions to the member.
    pub(crate) async fn join(config: Arc<KafkaConfig>, group: &str, member: &str) -> PortResult<Self> {
        let identity = Arc::new(MemberIdentity::new(config, group, member)?);
        let commands = thread::start(Arc::clone(&identity)).await?;
        Ok(Self { identity, commands, pending_poll: None, outdated: BTreeSet::new(), buffered: VecDeque::new() })
    }

    /// Sends a command to the thread, and waits for the answer.
    async fn command<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> MemberCommand) -> PortResult<T> {
        let (reply, answer) = oneshot::channel();
        // If the thread has ended, the answer fails.
        let _ = self.commands.send(command(reply));
        answer.await.map_err(|_| self.thread_ended())
    }

    /// Waits for the answer to the pending poll, or starts one. If the caller stops waiting, the answer is kept, and
    /// the thread stops polling.
    async fn poll_thread(&mut self, limit: usize, deadline: Instant) -> PortResult<LogSignal> {
        let answer = match &mut self.pending_poll {
            Some(answer) => answer,
            pending_poll => {
                let (reply, answer) = oneshot::channel();
                let _ = self.commands.send(MemberCommand::Poll { limit, deadline, reply });
                pending_poll.insert(answer)
            }
        };
        let mut stop_polling = StopPollingOnDrop { commands: &self.commands, is_answered: false };
        let signal = answer.await;
        stop_polling.is_answered = true;
        self.pending_poll = None;
        signal.unwrap_or_else(|_| Err(self.thread_ended()))
    }

    fn take_buffered(&mut self, limit: usize) -> Vec<LogRecord> {
        let count = self.buffered.len().min(limit);
        self.buffered.drain(..count).collect()
    }

    fn thread_ended(&self) -> PortError {
        PortError::operator(format!(
            "the thread of {} has ended unexpectedly; this is a bug: the cause is in the log before this line",
            self.identity
        ))
    }
}

impl Consumer for KafkaConsumer {
    async fn poll(&mut self, limit: usize, wait_max: Duration) -> PortResult<LogSignal> {
        let (limit, deadline) = (limit.max(1), Instant::now() + wait_max.min(WAIT_MAX));
        loop {
            if !self.buffered.is_empty() {
                return Ok(LogSignal::Records(self.take_buffered(limit)));
            }
            // The answer may belong to a poll that an earlier, dropped call has started.
            let signal = self.poll_thread(limit, deadline).await;
            let outdated = std::mem::take(&mut self.outdated);
            match signal? {
                LogSignal::Records(records) => {
                    self.buffered
                        .extend(records.into_iter().filter(|record| !outdated.contains(&record.entry.partition())));
                }
                LogSignal::Idle if Instant::now() < deadline => {}
                other => return Ok(other),
            }
        }
    }

    async fn heartbeat(&mut self) {
        // If the thread has ended, the next call fails.
        let _ = self.commands.send(MemberCommand::Heartbeat);
    }

    async fn seek(&mut self, partition: Partition, offset: Offset) -> PortResult<()> {
        self.buffered.retain(|record| record.entry.partition() != partition);
        if self.pending_poll.is_some() {
            self.outdated.insert(partition);
        }
        self.command(|reply| MemberCommand::Seek { partition, offset, reply }).await?
    }

    async fn commit(&mut self, offsets: &[(Partition, Offset)]) -> PortResult<CommitOutcome> {
        let offsets = offsets.to_vec();
        self.command(|reply| MemberCommand::Commit { offsets, reply }).await?
    }
}

impl Drop for KafkaConsumer {
    fn drop(&mut self) {
        // The thread closes the consumer. If the thread has ended, there is nothing to close.
        let _ = self.commands.send(MemberCommand::Leave);
    }
}

/// Tells the thread to stop polling when the future that waits for the answer is dropped.
struct StopPollingOnDrop<'a> {
    commands: &'a Sender<MemberCommand>,
    is_answered: bool,
}

impl Drop for StopPollingOnDrop<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            let _ = self.commands.send(MemberCommand::StopPolling);
        }
    }
}
