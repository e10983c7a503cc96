//! The second pass over a file: its commands, in the order in which they are sent.

use anyhow::bail;
use diptych_proto::ledger::command::v1::{
    DepositRequest, ExecuteCommandsRequest, OpenAccountRequest, PostingDetails, WithdrawRequest,
    execute_commands_request::Command,
};

use super::{
    file::CsvReader,
    request_ids::{RequestIds, next_request_id},
    row::Row,
    row_reader::RowReader,
    validation::ValidFile,
};

/// Values that all commands of an import share.
#[derive(Clone, Debug)]
pub(crate) struct CommonFields {
    /// The request ids, and the prefix of the account ids.
    pub(crate) ids: RequestIds,
    /// ISO 4217.
    pub(crate) currency_code: String,
    /// Owner of the accounts.
    pub(crate) owner_id: String,
}

/// A command, and the row or account that it is made from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ImportCommand {
    /// Index of the account in [`ValidFile::accounts`].
    pub(crate) account: u32,
    /// Line of the row; `None` for the opening of an account.
    pub(crate) line: Option<u64>,
    /// The message to send.
    pub(crate) request: ExecuteCommandsRequest,
}

impl ImportCommand {
    /// The request id of the command.
    pub(crate) fn request_id(&self) -> &str {
        match &self.request.command {
            Some(Command::OpenAccount(command)) => &command.request_id,
            Some(Command::Deposit(command)) => &command.request_id,
            Some(Command::Withdraw(command)) => &command.request_id,
            _ => "",
        }
    }

    /// The same command under the next request id. A refusal has the request id for good, so a command that is to be
    /// decided again needs another one. The next id depends only on the one before it, so that every run of an import
    /// tries the same ids in the same order, and no row is posted twice: an id is sent only if the one before it is
    /// known to be refused.
    pub(crate) fn with_next_request_id(mut self) -> Self {
        let request_id = match &mut self.request.command {
            Some(Command::OpenAccount(command)) => &mut command.request_id,
            Some(Command::Deposit(command)) => &mut command.request_id,
            Some(Command::Withdraw(command)) => &mut command.request_id,
            _ => return self,
        };
        *request_id = next_request_id(request_id);
        self
    }
}

/// The commands of a file: first those that open the accounts, then one per row in the order of the file.
///
/// Every posting has an expected version: opening an account makes version 1, its n-th row version n + 1. So no row can
/// overtake an earlier row of its account when commands are sent again or a lost connection still delivers some: it is
/// refused instead. Statements have the order of the file, or end before the first row that is missing.
pub(crate) struct ImportCommands<'a> {
    fields: &'a CommonFields,
    file: &'a ValidFile,
    rows: RowReader,
    opened: u32,
    versions: Vec<i64>,
}

impl<'a> ImportCommands<'a> {
    /// Commands of a file that was validated; the reader is at its start.
    pub(crate) fn new(fields: &'a CommonFields, file: &'a ValidFile, reader: CsvReader) -> Self {
        Self { fields, file, rows: RowReader::new(reader), opened: 0, versions: vec![1; file.accounts.len()] }
    }

    fn next_opening(&mut self) -> Option<ImportCommand> {
        let index = self.opened;
        let account = self.file.accounts.get(index as usize)?;
        self.opened += 1;
        let command = OpenAccountRequest {
            request_id: self.fields.ids.opening(&account.account_id).to_string(),
            account_id: account.account_id.clone(),
            owner_id: self.fields.owner_id.clone(),
            currency_code: self.fields.currency_code.clone(),
            overdraft_limit_minor: account.overdraft_limit_minor(),
            options: None,
        };
        Some(ImportCommand { account: index, line: None, request: request(Command::OpenAccount(command)) })
    }

    fn next_posting(&mut self) -> anyhow::Result<Option<ImportCommand>> {
        let Some((line, row)) = self.rows.next_row(self.fields.ids.account_prefix())? else {
            return if self.rows.errors.count == 0 { Ok(None) } else { bail!(CHANGED) };
        };
        let index = self.file.account_indexes.get(&row.account_id);
        let Some((account, version)) = index.and_then(|index| Some((*index, self.versions.get_mut(*index as usize)?)))
        else {
            bail!(CHANGED);
        };
        let command = posting(self.fields, row, *version);
        *version += 1;
        Ok(Some(ImportCommand { account, line: Some(line), request: request(command) }))
    }
}

const CHANGED: &str = "the temporary copy of the file was changed during the import; run the import again";

impl Iterator for ImportCommands<'_> {
    type Item = anyhow::Result<ImportCommand>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.next_opening() {
            Some(command) => Some(Ok(command)),
            None => self.next_posting().transpose(),
        }
    }
}

fn posting(fields: &CommonFields, row: Row, version: i64) -> Command {
    let request_id = fields.ids.posting(&row.transaction_id).to_string();
    let account_id = row.account_id;
    let currency_code = fields.currency_code.clone();
    let expected_version = Some(version);
    let details = Some(PostingDetails {
        value_date: row.value_date,
        reference: row.transaction_id,
        purpose: row.purpose,
        counterparty: row.counterparty,
    });
    // Amounts are validated to be from -10^15 to 10^15, so the negation cannot overflow.
    if row.amount_minor > 0 {
        let amount_minor = row.amount_minor;
        Command::Deposit(DepositRequest {
            request_id,
            account_id,
            amount_minor,
            currency_code,
            details,
            expected_version,
            options: None,
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
            options: None,
        })
    }
}

fn request(command: Command) -> ExecuteCommandsRequest {
    ExecuteCommandsRequest { command: Some(command) }
}
