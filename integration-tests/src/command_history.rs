//! Commands and the answers that their callers got.

use std::sync::Arc;

use diptych_kernel::{
    Receipt, RequestId, Token,
    testing::theatre::{Command, Refusal},
};

/// A command of a caller.
#[derive(Clone, Debug)]
pub struct SentCommand {
    /// Its request id.
    pub request_id: RequestId,
    /// The command itself.
    pub command: Arc<Command>,
}

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandAnswer {
    /// The command is stored durably.
    Stored(Receipt),
    /// A rule refuses the command; nothing is stored.
    Refused(Refusal),
    /// The process crashed before it answered.
    Missing,
}

/// Everything that callers know.
#[derive(Clone, Debug, Default)]
pub struct CommandHistory {
    entries: Vec<(SentCommand, CommandAnswer)>,
}

impl CommandHistory {
    /// Adds a command and its answer.
    pub fn record(&mut self, sent: SentCommand, answer: CommandAnswer) {
        self.entries.push((sent, answer));
    }

    /// All commands, in the order of recording.
    pub fn entries(&self) -> impl Iterator<Item = &(SentCommand, CommandAnswer)> {
        self.entries.iter()
    }

    /// Commands whose outcome their callers do not know.
    #[must_use]
    pub fn unanswered(&self) -> Vec<SentCommand> {
        let unanswered = self.entries.iter().filter(|(_, answer)| *answer == CommandAnswer::Missing);
        unanswered.map(|(sent, _)| sent.clone()).collect()
    }

    /// Replaces the answer to a command.
    pub fn update(&mut self, request_id: RequestId, answer: &CommandAnswer) {
        for (_, known) in self.entries.iter_mut().filter(|(sent, _)| sent.request_id == request_id) {
            *known = answer.clone();
        }
    }

    /// A consistency token that covers every receipt.
    #[must_use]
    pub fn token(&self) -> Token {
        let receipts = self.entries.iter().filter_map(|(_, answer)| match answer {
            CommandAnswer::Stored(receipt) => Some(receipt),
            _ => None,
        });
        receipts.flat_map(|receipt| receipt.token().iter().collect::<Vec<_>>()).collect()
    }
}
