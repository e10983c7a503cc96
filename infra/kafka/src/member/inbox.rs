//! What the thread of a member is told to do.

use std::{
    collections::VecDeque,
    sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError},
};

use diptych_kernel::{
    Partition,
    ports::{CommitOutcome, LogSignal, Offset, PortResult},
};
use tokio::{sync::oneshot, time::Instant};

/// Something to do. Whoever waits for the answer may have stopped waiting.
#[derive(Debug)]
pub(super) enum Command {
    /// Poll until there is something to say or time is up.
    Next { limit: usize, until: Instant, reply: oneshot::Sender<PortResult<LogSignal>> },
    /// Stop polling: nobody waits for the next signal.
    Hush,
    /// The user is busy, and there.
    StayAlive,
    /// Read a partition from here.
    StartAt { partition: Partition, offset: Offset, reply: oneshot::Sender<PortResult<()>> },
    /// Store offsets.
    Commit { offsets: Vec<(Partition, Offset)>, reply: oneshot::Sender<PortResult<CommitOutcome>> },
    /// The guard of a revocation was dropped.
    LetGo(u64),
    /// The consumer was dropped.
    Leave,
}

/// The commands that were sent and not done.
pub(super) struct Inbox {
    commands: Receiver<Command>,
    /// Those that were looked at while something else was done.
    waiting: VecDeque<Command>,
}

/// What there is for a thread that polls.
pub(super) enum Interruption {
    None,
    /// A guard was dropped, which does not disturb the polling.
    LetGo(u64),
    /// Something else is to be done.
    Stop,
}

impl Inbox {
    pub(super) fn new(commands: Receiver<Command>) -> Self {
        Self { commands, waiting: VecDeque::new() }
    }

    /// The next command, waiting until a moment, which is `None` for ever. `None` where none came.
    pub(super) fn next(&mut self, until: Option<Instant>) -> Option<Command> {
        if let Some(waiting) = self.waiting.pop_front() {
            return Some(waiting);
        }
        let Some(until) = until else {
            return Some(self.commands.recv().unwrap_or(Command::Leave));
        };
        match self.commands.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(command) => Some(command),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Command::Leave),
        }
    }

    /// Whether to go on polling.
    pub(super) fn interruption(&mut self) -> Interruption {
        if !self.waiting.is_empty() {
            return Interruption::Stop;
        }
        match self.commands.try_recv() {
            Ok(Command::LetGo(guard)) => Interruption::LetGo(guard),
            Ok(Command::Hush) | Err(TryRecvError::Disconnected) => Interruption::Stop,
            Ok(command) => {
                self.waiting.push_back(command);
                Interruption::Stop
            }
            Err(TryRecvError::Empty) => Interruption::None,
        }
    }
}
