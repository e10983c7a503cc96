//! Counting what came of the commands of an import.

use std::collections::BTreeMap;

use diptych_proto::diptych::v1::Receipt;

use super::{steps::Step, survey::Survey};
use crate::client::{call_error::CallError, tokens::receipt_token};

/// What came of the commands so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Rows that this run brought in.
    pub(crate) rows_accepted: u64,
    /// Rows that were in already: from a run before, or from before a connection was lost.
    pub(crate) rows_already_done: u64,
    /// Accounts that this run opened.
    pub(crate) accounts_opened: u64,
    /// Accounts that were open already.
    pub(crate) accounts_already_open: u64,
    /// Rows that were refused, by reason.
    pub(crate) rows_refused: BTreeMap<String, Refused>,
    /// Openings that were refused, by reason.
    pub(crate) accounts_refused: BTreeMap<String, Refused>,
    /// Per account, the token of its last receipt.
    pub(crate) tokens: Vec<Box<str>>,
}

/// Commands that were refused for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refused {
    /// How many.
    pub(crate) count: u64,
    /// What the server said about the first of them, and where that is in the file.
    pub(crate) first: String,
}

impl Tally {
    /// For the accounts of a file.
    pub(crate) fn new(survey: &Survey) -> Self {
        Self { tokens: vec![Box::default(); survey.accounts.len()], ..Self::default() }
    }

    /// How many rows have their receipts.
    pub(crate) fn rows_done(&self) -> u64 {
        self.rows_accepted + self.rows_already_done
    }

    /// How many rows were refused.
    pub(crate) fn rows_refused_count(&self) -> u64 {
        self.rows_refused.values().map(|refused| refused.count).sum()
    }

    /// Counts a receipt.
    pub(crate) fn done(&mut self, step: &Step, receipt: &Receipt, repeated: bool) {
        let count = match (step.line, repeated) {
            (Some(_), false) => &mut self.rows_accepted,
            (Some(_), true) => &mut self.rows_already_done,
            (None, false) => &mut self.accounts_opened,
            (None, true) => &mut self.accounts_already_open,
        };
        *count += 1;
        if let Some(token) = self.tokens.get_mut(step.account as usize) {
            *token = receipt_token(receipt).into();
        }
    }

    /// Counts a refusal.
    pub(crate) fn refused(&mut self, step: &Step, survey: &Survey, failure: &CallError) {
        let by_reason = match step.line {
            Some(_) => &mut self.rows_refused,
            None => &mut self.accounts_refused,
        };
        let refused = by_reason.entry(failure.reason.clone()).or_default();
        if refused.count == 0 {
            let account = survey.accounts.get(step.account as usize).map_or("", |facts| facts.account_id.as_str());
            refused.first = match step.line {
                Some(line) => format!("line {line}, account {account}: {}", failure.message),
                None => format!("opening account {account}: {}", failure.message),
            };
        }
        refused.count += 1;
    }
}
