//! Commands that may be queued, while they wait for the write database or for the queue.

use std::{collections::BTreeMap, mem};

use diptych_kernel::{domain::Domain, ports::QueuedCommand};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::QueuedReceipt;
use crate::{CommandError, submission::Withdrawal};

/// The result of queueing a command.
pub(super) type QueueResult<D> = Result<QueuedReceipt<<D as Domain>::Refusal>, CommandError<<D as Domain>::Refusal>>;

/// A command that may be queued.
pub(super) struct WaitingCommand<D: Domain> {
    pub(super) command: QueuedCommand,
    pub(super) reply: oneshot::Sender<QueueResult<D>>,
    withdrawal: Withdrawal,
    /// True if it is to be queued whatever the breaker says.
    is_due: bool,
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
}

impl<D: Domain> WaitingCommands<D> {
    pub(super) fn new() -> Self {
        Self { commands: Mutex::new(Numbered { next: 0, waiting: BTreeMap::new() }), due: Notify::new() }
    }

    /// Adds a command; returns its number and where its result arrives if it is queued. It is withdrawn from the
    /// sequencer when it is taken.
    pub(super) fn add(
        &self,
        command: QueuedCommand,
        is_due: bool,
        withdrawal: Withdrawal,
    ) -> (u64, oneshot::Receiver<QueueResult<D>>) {
        let (reply, result) = oneshot::channel();
        let number = {
            let mut commands = self.commands.lock();
            let number = commands.next;
            commands.next += 1;
            commands.waiting.insert(number, WaitingCommand { command, reply, withdrawal, is_due });
            number
        };
        if is_due {
            self.due.notify_one();
        }
        (number, result)
    }

    /// Removes a command that has an outcome, or whose caller has gone.
    pub(super) fn remove(&self, number: u64) {
        self.commands.lock().waiting.remove(&number);
    }

    /// Has a command queued, if it still waits.
    pub(super) fn make_due(&self, number: u64) {
        if let Some(waiting) = self.commands.lock().waiting.get_mut(&number) {
            waiting.is_due = true;
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
        let waiting = mem::take(&mut commands.waiting);
        let mut taken = Vec::new();
        for (number, command) in waiting {
            if (all || command.is_due) && taken.len() < limit {
                command.withdrawal.make();
                taken.push(command);
            } else {
                commands.waiting.insert(number, command);
            }
        }
        taken
    }
}
