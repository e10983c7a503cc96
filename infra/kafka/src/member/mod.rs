//! A member of a group.
//!
//! librdkafka's consumer belongs to a thread of the member's own (`kafka-member`), which does everything that waits. The consumer that the
//! port hands out only sends it commands and waits for the answers, so that a future can be dropped at any time: what the thread had to
//! tell is told by the next call.
//!
//! **Who asks for its next signal is alive**, and so is who says so ([`Consumer::heartbeat`]). librdkafka is polled only while
//! [`Consumer::poll`] is waited for; its heartbeats go on without. A member that has done neither for a session is dead: its thread closes
//! the consumer, which ends the heartbeats, and what it commits then is fenced. When it asks again it hears that it has lost everything, and
//! joins anew under its name.

mod committing;
mod inbox;
mod reading;
mod rebalance;
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

use self::{inbox::Command, thread::Seat};
use crate::config::KafkaConfig;

/// The longest patience; a longer one is cut.
const PATIENCE_MAX: Duration = Duration::from_hours(24);

/// A member of a group on Kafka. Leaves when it is dropped: its partitions stay reserved for its name until its session is over, and go
/// to others then.
pub struct KafkaConsumer {
    seat: Arc<Seat>,
    commands: Sender<Command>,
    /// What was asked for last, where nobody has heard the answer yet.
    asked: Option<oneshot::Receiver<PortResult<LogSignal>>>,
    /// Partitions that were started elsewhere since: what the answer has of them is outdated.
    outdated: BTreeSet<Partition>,
    /// Records of an answer that was asked for under a larger limit.
    left: VecDeque<LogRecord>,
}

impl fmt::Debug for KafkaConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConsumer").field("seat", &self.seat).finish_non_exhaustive()
    }
}

impl KafkaConsumer {
    /// Takes a seat in a group. The first signals come once the group has given it partitions.
    pub(crate) async fn join(config: Arc<KafkaConfig>, group: &str, member: &str) -> PortResult<Self> {
        let seat = Arc::new(Seat::new(config, group, member)?);
        let commands = thread::start(Arc::clone(&seat)).await?;
        Ok(Self { seat, commands, asked: None, outdated: BTreeSet::new(), left: VecDeque::new() })
    }

    /// Lets the thread do something, and waits until it is done.
    async fn command<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> PortResult<T> {
        let (reply, answer) = oneshot::channel();
        // A thread that has ended is noticed by the answer that does not come.
        let _ = self.commands.send(command(reply));
        answer.await.map_err(|_| self.ended())
    }

    /// Waits for the answer to what was asked for. It is kept if the caller stops waiting, and the thread stops polling then.
    async fn heard(&mut self, limit: usize, until: Instant) -> PortResult<LogSignal> {
        let answer = match &mut self.asked {
            Some(answer) => answer,
            asked => {
                let (reply, answer) = oneshot::channel();
                let _ = self.commands.send(Command::Next { limit, until, reply });
                asked.insert(answer)
            }
        };
        let mut hush = Hush { commands: &self.commands, is_heard: false };
        let heard = answer.await;
        hush.is_heard = true;
        self.asked = None;
        heard.unwrap_or_else(|_| Err(self.ended()))
    }

    fn take_left(&mut self, limit: usize) -> Vec<LogRecord> {
        let count = self.left.len().min(limit);
        self.left.drain(..count).collect()
    }

    fn ended(&self) -> PortError {
        PortError::operator(format!("the thread of {} has ended: this is a defect, see the log before", self.seat))
    }
}

impl Consumer for KafkaConsumer {
    async fn poll(&mut self, limit: usize, wait_max: Duration) -> PortResult<LogSignal> {
        let (limit, until) = (limit.max(1), Instant::now() + wait_max.min(PATIENCE_MAX));
        loop {
            if !self.left.is_empty() {
                return Ok(LogSignal::Records(self.take_left(limit)));
            }
            // The answer may be one that an earlier call did not wait for.
            let heard = self.heard(limit, until).await;
            let outdated = std::mem::take(&mut self.outdated);
            match heard? {
                LogSignal::Records(records) => {
                    self.left
                        .extend(records.into_iter().filter(|record| !outdated.contains(&record.entry.partition())));
                }
                LogSignal::Idle if Instant::now() < until => {}
                other => return Ok(other),
            }
        }
    }

    async fn heartbeat(&mut self) {
        // A thread that has ended is noticed by the next call.
        let _ = self.commands.send(Command::StayAlive);
    }

    async fn seek(&mut self, partition: Partition, offset: Offset) -> PortResult<()> {
        self.left.retain(|record| record.entry.partition() != partition);
        if self.asked.is_some() {
            self.outdated.insert(partition);
        }
        self.command(|reply| Command::StartAt { partition, offset, reply }).await?
    }

    async fn commit(&mut self, offsets: &[(Partition, Offset)]) -> PortResult<CommitOutcome> {
        let offsets = offsets.to_vec();
        self.command(|reply| Command::Commit { offsets, reply }).await?
    }
}

impl Drop for KafkaConsumer {
    fn drop(&mut self) {
        // The thread closes the consumer. Where it has ended, there is nothing to close.
        let _ = self.commands.send(Command::Leave);
    }
}

/// Tells the thread when nobody waits for its next signal any more.
struct Hush<'a> {
    commands: &'a Sender<Command>,
    is_heard: bool,
}

impl Drop for Hush<'_> {
    fn drop(&mut self) {
        if !self.is_heard {
            let _ = self.commands.send(Command::Hush);
        }
    }
}
