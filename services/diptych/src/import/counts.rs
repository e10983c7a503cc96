//! Counts of the answers to the commands of an import.

use std::collections::BTreeMap;

use diptych_proto::diptych::v1::Receipt;

use super::{commands::ImportCommand, validation::ValidFile};
use crate::client::{call_error::CallError, tokens::receipt_token};

/// Counts of answers, and the tokens of the receipts.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Rows posted by this run.
    pub(crate) rows_accepted: u64,
    /// Rows posted before: by an earlier run, or before a connection was lost.
    pub(crate) rows_already_imported: u64,
    /// Accounts opened by this run.
    pub(crate) accounts_opened: u64,
    /// Accounts opened before.
    pub(crate) accounts_already_open: u64,
    /// Refused rows, by reason.
    pub(crate) rows_refused: BTreeMap<String, Refusals>,
    /// Refused openings of accounts, by reason.
    pub(crate) accounts_refused: BTreeMap<String, Refusals>,
    /// Token of the last receipt of each account, in the order of [`ValidFile::accounts`].
    pub(crate) tokens: Vec<Box<str>>,
}

/// Commands that were refused for the same reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refusals {
    /// The number of commands.
    pub(crate) count: u64,
    /// Place in the file, and message of the server, of the first.
    pub(crate) first: String,
}

impl Counts {
    /// Counts of zero, for the accounts of a file.
    pub(crate) fn new(file: &ValidFile) -> Self {
        Self { tokens: vec![Box::default(); file.accounts.len()], ..Self::default() }
    }

    /// The number of rows that have a receipt.
    pub(crate) fn rows_imported(&self) -> u64 {
        self.rows_accepted + self.rows_already_imported
    }

    /// The number of refused rows.
    pub(crate) fn rows_refused_count(&self) -> u64 {
        self.rows_refused.values().map(|refusals| refusals.count).sum()
    }

    /// The number of rows that have a receipt or are refused.
    pub(crate) fn rows_answered(&self) -> u64 {
        self.rows_imported() + self.rows_refused_count()
    }

    /// Counts a receipt.
    pub(crate) fn add_receipt(&mut self, command: &ImportCommand, receipt: &Receipt, repeated: bool) {
        let count = match (command.line, repeated) {
            (Some(_), false) => &mut self.rows_accepted,
            (Some(_), true) => &mut self.rows_already_imported,
            (None, false) => &mut self.accounts_opened,
            (None, true) => &mut self.accounts_already_open,
        };
        *count += 1;
        if let Some(token) = self.tokens.get_mut(command.account as usize) {
            *token = receipt_token(receipt).into();
        }
    }

    /// Counts a refusal.
    pub(crate) fn add_refusal(&mut self, command: &ImportCommand, file: &ValidFile, error: &CallError) {
        let by_reason = match command.line {
            Some(_) => &mut self.rows_refused,
            None => &mut self.accounts_refused,
        };
        let refusals = by_reason.entry(error.reason.clone()).or_default();
        if refusals.count == 0 {
            let account = file.accounts.get(command.account as usize).map_or("", |account| account.account_id.as_str());
            refusals.first = match command.line {
                Some(line) => format!("line {line}, account {account}: {}", error.message),
                None => format!("opening account {account}: {}", error.message),
            };
        }
        refusals.count += 1;
    }
}
