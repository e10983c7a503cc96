//! The commands in flight, and the order in which commands are sent again.

use std::collections::{HashSet, VecDeque};

use super::commands::ImportCommand;

/// The answer to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommandAnswer {
    /// A receipt.
    Committed,
    /// A permanent error.
    Refused,
    /// A permanent error that an earlier run, or an earlier attempt of this one, got.
    RefusedBefore,
    /// A temporary error: the command may be sent again.
    Retryable,
}

/// The state of a command after its answer.
#[derive(Debug, PartialEq)]
pub(crate) enum Answered {
    /// It has a receipt.
    Committed(ImportCommand),
    /// It is refused for good.
    Refused(ImportCommand),
    /// It will be sent again, once all commands in flight are answered.
    WillRetry,
}

/// The commands in flight, up to a limit, in the order sent, which is the order of the answers.
///
/// After [`CommandAnswer::Retryable`] no command is sent until all in flight are answered. Then the commands to retry
/// are sent again, in their old order and before new ones. A refusal of a later command of the same account is retried
/// too, under the next request id: it was decided without the effect of the earlier one. So is a refusal of an earlier
/// run: its cause may have been removed since.
#[derive(Debug)]
pub(crate) struct InFlight {
    limit: usize,
    unanswered: VecDeque<ImportCommand>,
    /// Commands to retry once `unanswered` is empty.
    to_retry: Vec<ImportCommand>,
    /// The accounts of `to_retry`.
    accounts_to_retry: HashSet<u32>,
    /// Commands to send again, before new ones.
    resend_queue: VecDeque<ImportCommand>,
}

impl InFlight {
    /// No commands, with a limit of 1 or more.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            unanswered: VecDeque::new(),
            to_retry: Vec::new(),
            accounts_to_retry: HashSet::new(),
            resend_queue: VecDeque::new(),
        }
    }

    /// The maximum number of commands in flight.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Returns the next command to send, which then is in flight: one to send again, or else a new one. `None` while no
    /// command may be sent, or when none is left.
    pub(crate) fn send_next<E>(
        &mut self,
        new_command: impl FnOnce() -> Result<Option<ImportCommand>, E>,
    ) -> Result<Option<&ImportCommand>, E> {
        if self.unanswered.len() >= self.limit || !self.to_retry.is_empty() {
            return Ok(None);
        }
        let command = match self.resend_queue.pop_front() {
            Some(command) => command,
            None => match new_command()? {
                Some(command) => command,
                None => return Ok(None),
            },
        };
        self.unanswered.push_back(command);
        Ok(self.unanswered.back())
    }

    /// The command that the next answer belongs to.
    pub(crate) fn oldest(&self) -> Option<&ImportCommand> {
        self.unanswered.front()
    }

    /// Takes the answer to the oldest command; `None` if no command is in flight.
    pub(crate) fn answer_oldest(&mut self, answer: CommandAnswer) -> Option<Answered> {
        let command = self.unanswered.pop_front()?;
        let follows_retry = self.accounts_to_retry.contains(&command.account);
        Some(match answer {
            CommandAnswer::Committed => Answered::Committed(command),
            CommandAnswer::Refused if !follows_retry => Answered::Refused(command),
            CommandAnswer::Refused | CommandAnswer::RefusedBefore => self.retry(command.with_next_request_id()),
            CommandAnswer::Retryable => self.retry(command),
        })
    }

    fn retry(&mut self, command: ImportCommand) -> Answered {
        self.accounts_to_retry.insert(command.account);
        self.to_retry.push(command);
        Answered::WillRetry
    }

    /// Returns whether commands are to be retried and all in flight are answered. Then, after a pause, call
    /// [`InFlight::resend`].
    pub(crate) fn is_ready_to_retry(&self) -> bool {
        !self.to_retry.is_empty() && self.unanswered.is_empty()
    }

    /// Returns whether no command is in flight or to be sent again.
    pub(crate) fn is_empty(&self) -> bool {
        self.unanswered.is_empty() && self.to_retry.is_empty() && self.resend_queue.is_empty()
    }

    /// Queues the commands to retry, and those in flight, to be sent again: the latter get no answers any more.
    pub(crate) fn resend(&mut self) {
        // In the order sent: first the commands to retry, then those in flight, then those still in the queue.
        let queued = std::mem::take(&mut self.resend_queue);
        self.resend_queue.extend(self.to_retry.drain(..).chain(self.unanswered.drain(..)).chain(queued));
        self.accounts_to_retry.clear();
    }
}

#[cfg(test)]
mod tests;
