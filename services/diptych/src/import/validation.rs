//! The first pass over a file: validates all of it before any of it is sent.
//!
//! Of each row only the balance, the account and the line are kept: about 60 bytes per row and 200 bytes per account,
//! whatever the length of the rows.

use std::collections::{HashMap, hash_map::Entry};

use uuid::Uuid;

use super::{
    file::CsvReader, request_ids::RequestIds, row::Row, row_reader::RowReader, validation_error::ValidationErrors,
};

/// An account of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileAccount {
    /// Its id in the ledger.
    pub(crate) account_id: String,
    /// The number of its rows.
    pub(crate) rows: u64,
    /// Balance of its last row.
    pub(crate) balance_minor: i64,
    /// Lowest balance, at most 0.
    pub(crate) balance_minor_min: i64,
}

impl FileAccount {
    /// The overdraft limit that the balances in the file require.
    pub(crate) fn overdraft_limit_minor(&self) -> i64 {
        // Balances are validated to be at least -10^15, so the negation cannot overflow.
        -self.balance_minor_min
    }
}

/// The entry that a row must become in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExpectedEntry {
    /// Line of the row.
    pub(crate) line: u64,
    /// Index of its account in [`ValidFile::accounts`].
    pub(crate) account: u32,
    /// Balance of the account after it.
    pub(crate) balance_after_minor: i64,
}

/// Content of a valid file, as far as it is kept in memory.
#[derive(Debug, Default)]
pub(crate) struct ValidFile {
    /// The accounts, in the order of their first rows.
    pub(crate) accounts: Vec<FileAccount>,
    /// Index in `accounts` by account id.
    pub(crate) account_indexes: HashMap<String, u32>,
    /// The entries, by the request id of the posting.
    pub(crate) entries: HashMap<Uuid, ExpectedEntry>,
    /// The number of rows.
    pub(crate) rows: u64,
}

impl ValidFile {
    /// Adds a row. Its balance is compared with the row before unless an invalid row was skipped: then it may be right.
    fn add(&mut self, row: &Row, line: u64, ids: &RequestIds, checks_balance: bool, errors: &mut ValidationErrors) {
        let Some(index) = self.account_index(&row.account_id) else {
            errors.add(line, "account_id", &row.account_id, "at most 2^32 accounts in a file");
            return;
        };
        match self.entries.entry(ids.posting(&row.transaction_id)) {
            Entry::Vacant(entry) => {
                entry.insert(ExpectedEntry { line, account: index, balance_after_minor: row.balance_after_minor });
            }
            Entry::Occupied(first) => {
                let expected = format!("each id once; line {} has it too", first.get().line);
                errors.add(line, "transaction_id", &row.transaction_id, expected);
            }
        }
        let Some(account) = self.accounts.get_mut(index as usize) else { return };
        if checks_balance && account.balance_minor.checked_add(row.amount_minor) != Some(row.balance_after_minor) {
            let expected = format!(
                "the balance before ({}) plus the amount ({}); an account starts at 0",
                account.balance_minor, row.amount_minor
            );
            errors.add(line, "balance_after_minor", &row.balance_after_minor.to_string(), expected);
        }
        account.rows += 1;
        self.rows += 1;
        account.balance_minor = row.balance_after_minor;
        account.balance_minor_min = account.balance_minor_min.min(row.balance_after_minor);
    }

    /// Returns the index of an account, which is added if it is new; `None` when the file has too many.
    fn account_index(&mut self, account_id: &str) -> Option<u32> {
        if let Some(index) = self.account_indexes.get(account_id) {
            return Some(*index);
        }
        let index = u32::try_from(self.accounts.len()).ok()?;
        self.account_indexes.insert(account_id.to_owned(), index);
        self.accounts.push(FileAccount {
            account_id: account_id.to_owned(),
            rows: 0,
            balance_minor: 0,
            balance_minor_min: 0,
        });
        Some(index)
    }
}

/// Reads and validates all records.
///
/// # Errors
/// When the file cannot be read. Errors in its content are the inner result.
pub(crate) fn validate(reader: CsvReader, ids: &RequestIds) -> anyhow::Result<Result<ValidFile, ValidationErrors>> {
    let mut rows = RowReader::new(reader);
    let mut file = ValidFile::default();
    while let Some((line, row)) = rows.next_row(ids.account_prefix())? {
        let checks_balance = !rows.has_skipped;
        file.add(&row, line, ids, checks_balance, &mut rows.errors);
    }
    let mut errors = rows.errors;
    if errors.count == 0 && file.accounts.is_empty() {
        errors.add(1, "row", "", "a header and at least one row");
    }
    Ok(if errors.count == 0 { Ok(file) } else { Err(errors) })
}
