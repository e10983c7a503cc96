//! Commands that may be queued, while they wait for the write database or for the queue.

use std::collections::{BTreeMap, BTreeSet};

use diptych_kernel::{domain::Domain, ports::QueuedCommand};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::QueuedReceipt;
use crate::{CommandError, submission::Cancellation};

/// The result of queueing a command.
pub(super) type QueueResult<D> = Result<QueuedReceipt<<D as Domain>::Refusal>, CommandError<<D as Domain>::Refusal>>;

/// A command that may be queued.
pub(super) struct WaitingCommand<D: Domain> {
    pub(super) command: QueuedCommand,
    pub(super) reply: oneshot::Sender<QueueResult<D>>,
    cancellation: Cancellation,
}

/// The commands of this process that may be queued and have no outcome yet, in the order in which they were sent. When
/// the breaker opens they are queued in this order, so that commands of one caller keep theirs.
pub(super) struct WaitingCommands<D: Domain> {
    commands: Mutex<Numbered<D>>,
    /// Notified when a command is due.
    due: Notify,
}

struct Numbered<D: Domain> {
    next: u64,
    /// By the number of their arrival.
    waiting: BTreeMap<u64, WaitingCommand<D>>,
    /// The numbers of those that are to be queued whatever the breaker says.
    due: BTreeSet<u64>,
}

impl<D: Domain> WaitingCommands<D> {
    pub(super) fn new() -> Self {
        Self {
            commands: Mutex::new(Numbered { next: 0, waiting: BTreeMap::new(), due: BTreeSet::new() }),
            due: Notify::new(),
        }
    }

    /// Adds a command; returns its number and where its result arrives if it is queued. It is cancelled in the
    /// sequencer when it is taken.
    pub(super) fn add(
        &self,
        command: QueuedCommand,
        is_due: bool,
        cancellation: Cancellation,
    ) -> (u64, oneshot::Receiver<QueueResult<D>>) {
        let (reply, result) = oneshot::channel();
        let number = {
            let mut commands = self.commands.lock();
            let number = commands.next;
            commands.next += 1;
            commands.waiting.insert(number, WaitingCommand { command, reply, cancellation });
            if is_due {
                commands.due.insert(number);
            }
            number
        };
        if is_due {
            self.due.notify_one();
        }
        (number, result)
    }

    /// Removes a command that has an outcome, or whose caller has gone.
    pub(super) fn remove(&self, number: u64) {
        let mut commands = self.commands.lock();
        commands.waiting.remove(&number);
        commands.due.remove(&number);
    }

    /// Has a command queued, if it still waits.
    pub(super) fn make_due(&self, number: u64) {
        let mut commands = self.commands.lock();
        if commands.waiting.contains_key(&number) {
            commands.due.insert(number);
            self.due.notify_one();
        }
    }

    /// Waits until a command is due.
    pub(super) async fn due(&self) {
        self.due.notified().await;
    }

    /// Takes up to `limit` commands that are due, or all of them, in the order in which they were sent.
    pub(super) fn take(&self, all: bool, limit: usize) -> Vec<WaitingCommand<D>> {
        let mut commands = self.commands.lock();
        let Numbered { waiting, due, .. } = &mut *commands;
        let mut taken = Vec::new();
        while taken.len() < limit {
            let number = if all { waiting.keys().next().copied() } else { due.first().copied() };
            let Some(number) = number else { break };
            due.remove(&number);
            if let Some(command) = waiting.remove(&number) {
                command.cancellation.make();
                taken.push(command);
            }
        }
        taken
    }
}
