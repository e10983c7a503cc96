//! The second pass: the commands of a file, in the order in which they are sent.

use anyhow::bail;
use diptych_proto::ledger::command::v1::{
    DepositRequest, ExecuteCommandsRequest, OpenAccountRequest, PostingDetails, WithdrawRequest,
    execute_commands_request::Command,
};

use super::{
    file::Lines,
    names::Names,
    row::Row,
    survey::{Rows, Survey},
};

/// What is the same in every command of an import.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// How request ids and account ids are made.
    pub(crate) names: Names,
    /// ISO 4217.
    pub(crate) currency_code: String,
    /// Whose accounts they are.
    pub(crate) owner_id: String,
}

/// One command and what it is for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    /// The index of the account in the survey.
    pub(crate) account: u32,
    /// The line of the row, or `None` where the account is opened.
    pub(crate) line: Option<u64>,
    /// What is sent.
    pub(crate) command: ExecuteCommandsRequest,
}

impl Step {
    /// The request id of the command.
    pub(crate) fn request_id(&self) -> &str {
        match &self.command.command {
            Some(Command::OpenAccount(command)) => &command.request_id,
            Some(Command::Deposit(command)) => &command.request_id,
            Some(Command::Withdraw(command)) => &command.request_id,
            _ => "",
        }
    }
}

/// First all accounts are opened, then the rows follow in the order of the file.
///
/// Every command says which version of the account it builds on (opening makes version 1, the n-th row makes n + 1). So
/// a row can never overtake an earlier one of its account, whatever is repeated, lost on the way, or still under way on
/// a connection that was given up: it would be refused, and the statement has the order of the file or stops before the
/// first row that is missing.
pub(crate) struct Steps<'a> {
    terms: &'a Terms,
    survey: &'a Survey,
    rows: Rows,
    opened: u32,
    versions: Vec<i64>,
}

impl<'a> Steps<'a> {
    /// Over the same file that was surveyed.
    pub(crate) fn new(terms: &'a Terms, survey: &'a Survey, lines: Lines) -> Self {
        Self { terms, survey, rows: Rows::new(lines), opened: 0, versions: vec![1; survey.accounts.len()] }
    }

    fn opening(&mut self) -> Option<Step> {
        let account = self.opened;
        let facts = self.survey.accounts.get(account as usize)?;
        self.opened += 1;
        let command = OpenAccountRequest {
            request_id: self.terms.names.opening(&facts.account_id).to_string(),
            account_id: facts.account_id.clone(),
            owner_id: self.terms.owner_id.clone(),
            currency_code: self.terms.currency_code.clone(),
            overdraft_limit_minor: facts.overdraft_limit_minor(),
        };
        Some(Step { account, line: None, command: request(Command::OpenAccount(command)) })
    }

    fn row(&mut self) -> anyhow::Result<Option<Step>> {
        let Some((line, row)) = self.rows.next_row(&self.terms.names)? else {
            return if self.rows.mistakes.count == 0 { Ok(None) } else { bail!(CHANGED) };
        };
        let known = self.survey.index.get(&row.account_id);
        let Some((account, version)) =
            known.and_then(|account| Some((*account, self.versions.get_mut(*account as usize)?)))
        else {
            bail!(CHANGED);
        };
        let command = posting(self.terms, row, *version);
        *version += 1;
        Ok(Some(Step { account, line: Some(line), command: request(command) }))
    }
}

const CHANGED: &str = "the file was changed while it was imported; import it again";

impl Iterator for Steps<'_> {
    type Item = anyhow::Result<Step>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.opening() {
            Some(step) => Some(Ok(step)),
            None => self.row().transpose(),
        }
    }
}

fn posting(terms: &Terms, row: Row, version: i64) -> Command {
    let request_id = terms.names.transaction(&row.transaction_id).to_string();
    let account_id = row.account_id;
    let currency_code = terms.currency_code.clone();
    let expected_version = Some(version);
    let details = Some(PostingDetails {
        value_date: row.value_date,
        reference: row.transaction_id,
        purpose: row.purpose,
        counterparty: row.counterparty,
    });
    // Every amount is within 10^15 either way, so its negation is in range.
    if row.amount_minor > 0 {
        let amount_minor = row.amount_minor;
        Command::Deposit(DepositRequest {
            request_id,
            account_id,
            amount_minor,
            currency_code,
            details,
            expected_version,
        })
    } else {
        let amount_minor = -row.amount_minor;
        Command::Withdraw(WithdrawRequest {
            request_id,
            account_id,
            amount_minor,
            currency_code,
            details,
            expected_version,
        })
    }
}

fn request(command: Command) -> ExecuteCommandsRequest {
    ExecuteCommandsRequest { command: Some(command) }
}
