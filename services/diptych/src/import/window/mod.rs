//! Which commands are under way, and in which order those that must be sent again go.

use std::collections::{HashSet, VecDeque};

use super::steps::Step;

/// How the server answered one command, as far as sending is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// There is a receipt.
    Done,
    /// The answer is no.
    Refused,
    /// It may be sent again.
    Again,
}

/// What the window makes of an answer.
#[derive(Debug, PartialEq)]
pub(crate) enum Settled {
    /// The command has its receipt.
    Done(Step),
    /// The command is refused for good.
    Refused(Step),
    /// The command will be sent again, when everything under way is answered.
    Held,
}

/// The commands under way: at most a limit, in the order sent, which is the order of the answers.
///
/// After an answer of [`Verdict::Again`] nothing more is sent until all that is under way is answered. Then what is
/// held goes again, in its old order and before anything new. A refusal of a later command of the same account is not
/// believed meanwhile: it was decided without the earlier one.
#[derive(Debug)]
pub(crate) struct Window {
    limit: usize,
    unanswered: VecDeque<Step>,
    held: Vec<Step>,
    held_accounts: HashSet<u32>,
    again: VecDeque<Step>,
}

impl Window {
    /// For at most `limit` commands under way, 1 or more.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            unanswered: VecDeque::new(),
            held: Vec::new(),
            held_accounts: HashSet::new(),
            again: VecDeque::new(),
        }
    }

    /// The most commands under way.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// The next command to send: one that goes again, else a new one; `None` while nothing may be sent or nothing is
    /// left. What is given out counts as under way.
    pub(crate) fn next<E>(&mut self, fresh: impl FnOnce() -> Result<Option<Step>, E>) -> Result<Option<&Step>, E> {
        if self.unanswered.len() >= self.limit || !self.held.is_empty() {
            return Ok(None);
        }
        let step = match self.again.pop_front() {
            Some(step) => step,
            None => match fresh()? {
                Some(step) => step,
                None => return Ok(None),
            },
        };
        self.unanswered.push_back(step);
        Ok(self.unanswered.back())
    }

    /// The command that the next answer is for.
    pub(crate) fn oldest(&self) -> Option<&Step> {
        self.unanswered.front()
    }

    /// Takes the next answer; `None` where no command is under way.
    pub(crate) fn settle(&mut self, verdict: Verdict) -> Option<Settled> {
        let step = self.unanswered.pop_front()?;
        let in_doubt = self.held_accounts.contains(&step.account);
        Some(match verdict {
            Verdict::Done => Settled::Done(step),
            Verdict::Refused if !in_doubt => Settled::Refused(step),
            Verdict::Refused | Verdict::Again => {
                self.held_accounts.insert(step.account);
                self.held.push(step);
                Settled::Held
            }
        })
    }

    /// Whether commands are held and nothing is under way: the moment to pause and then to [`Window::resume`].
    pub(crate) fn is_drained(&self) -> bool {
        !self.held.is_empty() && self.unanswered.is_empty()
    }

    /// Whether nothing is under way or waits to be sent again.
    pub(crate) fn is_empty(&self) -> bool {
        self.unanswered.is_empty() && self.held.is_empty() && self.again.is_empty()
    }

    /// Sends again what is held, and what is under way: no more answers will come for it.
    pub(crate) fn resume(&mut self) {
        // Oldest first: what is held was sent before what is under way, and that before what still waits.
        let waiting = std::mem::take(&mut self.again);
        self.again.extend(self.held.drain(..).chain(self.unanswered.drain(..)).chain(waiting));
        self.held_accounts.clear();
    }
}

#[cfg(test)]
mod tests;
