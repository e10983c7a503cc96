//! Commands to the thread of a member, and the queue that it takes them from.

use std::{
    collections::VecDeque,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError},
};

use diptych_kernel::{
    Partition,
    ports::{CommitOutcome, LogSignal, Offset, PortResult},
};
use tokio::{sync::oneshot, time::Instant};

/// A command to the thread of a member. The sender may have stopped waiting for the answer.
#[derive(Debug)]
pub(super) enum MemberCommand {
    /// Poll until there is a signal, or until the deadline.
    Poll { limit: usize, deadline: Instant, reply: oneshot::Sender<PortResult<LogSignal>> },
    /// Stop polling: the caller has stopped waiting for the next signal.
    StopPolling,
    /// Extend the session: the caller is busy.
    Heartbeat,
    /// Read a partition from an offset on.
    Seek { partition: Partition, offset: Offset, reply: oneshot::Sender<PortResult<()>> },
    /// Commit offsets.
    Commit { offsets: Vec<(Partition, Offset)>, reply: oneshot::Sender<PortResult<CommitOutcome>> },
    /// Complete the revocation with this guard id: its guard was dropped.
    ReleaseGuard(u64),
    /// Close: the consumer was dropped.
    Leave,
}

/// Sends [`MemberCommand::ReleaseGuard`] when it is dropped.
#[derive(Debug)]
pub(super) struct ReleaseGuardOnDrop {
    pub(super) commands: Sender<MemberCommand>,
    pub(super) guard_id: u64,
}

impl Drop for ReleaseGuardOnDrop {
    fn drop(&mut self) {
        // If the thread has ended, there is no revocation to complete.
        let _ = self.commands.send(MemberCommand::ReleaseGuard(self.guard_id));
    }
}

/// Commands that were sent and not executed yet.
pub(super) struct CommandQueue {
    receiver: Receiver<MemberCommand>,
    /// Commands that were received while another one was executed.
    received: VecDeque<MemberCommand>,
}

/// Effect of a new command on the poll loop.
pub(super) enum PollInterruption {
    /// There is no command.
    None,
    /// A guard was dropped, which does not end the poll.
    ReleaseGuard(u64),
    /// Another command has to be executed.
    Stop,
}

impl CommandQueue {
    pub(super) fn new(receiver: Receiver<MemberCommand>) -> Self {
        Self { receiver, received: VecDeque::new() }
    }

    /// Waits for the next command; without a deadline for as long as it takes. `None` if none has come by the deadline.
    pub(super) fn next(&mut self, deadline: Option<Instant>) -> Option<MemberCommand> {
        if let Some(command) = self.received.pop_front() {
            return Some(command);
        }
        let Some(deadline) = deadline else {
            return Some(self.receiver.recv().unwrap_or(MemberCommand::Leave));
        };
        match self.receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(command) => Some(command),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(MemberCommand::Leave),
        }
    }

    /// Returns whether a command interrupts the poll loop, without waiting.
    pub(super) fn poll_interruption(&mut self) -> PollInterruption {
        if !self.received.is_empty() {
            return PollInterruption::Stop;
        }
        match self.receiver.try_recv() {
            Ok(MemberCommand::ReleaseGuard(guard_id)) => PollInterruption::ReleaseGuard(guard_id),
            Ok(MemberCommand::StopPolling) | Err(TryRecvError::Disconnected) => PollInterruption::Stop,
            Ok(command) => {
                self.received.push_back(command);
                PollInterruption::Stop
            }
            Err(TryRecvError::Empty) => PollInterruption::None,
        }
    }
}
