//! The first pass: everything that must be known of a file before any of it is sent.
//!
//! Nothing of a row is kept but its balance and where it stands: some 60 bytes per transaction and 200 per account,
//! however long the rows are.

use std::{
    collections::{HashMap, hash_map::Entry},
    path::Path,
};

use anyhow::Context;
use csv::StringRecord;
use uuid::Uuid;

use super::{
    file::{self, Lines, ReadLine},
    mistake::Mistakes,
    names::Names,
    row::{Header, Row},
};

/// What the file says about an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccountFacts {
    /// Its id in the ledger.
    pub(crate) account_id: String,
    /// How many rows are about it.
    pub(crate) rows: u64,
    /// The balance of its last row.
    pub(crate) balance_minor: i64,
    /// The lowest balance, or 0 where it never went below.
    pub(crate) balance_minor_min: i64,
}

impl AccountFacts {
    /// The overdraft that the bank must have granted, by what the file shows.
    pub(crate) fn overdraft_limit_minor(&self) -> i64 {
        // The lowest balance is checked to be at least -10^15.
        -self.balance_minor_min
    }
}

/// What is kept of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TransactionFacts {
    /// Its line in the file.
    pub(crate) line: u64,
    /// The index of its account.
    pub(crate) account: u32,
    /// The balance after it.
    pub(crate) balance_after_minor: i64,
}

/// A file without mistakes.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// In the order of their first rows.
    pub(crate) accounts: Vec<AccountFacts>,
    /// The index of each account id.
    pub(crate) index: HashMap<String, u32>,
    /// By the request id that is made of the transaction id.
    pub(crate) transactions: HashMap<Uuid, TransactionFacts>,
    /// How many rows the file has.
    pub(crate) rows: u64,
}

impl Survey {
    fn add(&mut self, row: &Row, line: u64, names: &Names, is_chain_whole: bool, mistakes: &mut Mistakes) {
        let Some(account) = self.account(&row.account_id) else {
            mistakes.add(line, "account_id", &row.account_id, "at most 2^32 accounts in a file");
            return;
        };
        match self.transactions.entry(names.transaction(&row.transaction_id)) {
            Entry::Vacant(entry) => {
                entry.insert(TransactionFacts { line, account, balance_after_minor: row.balance_after_minor });
            }
            Entry::Occupied(first) => {
                let allowed = format!("each id once; this one stands on line {} too", first.get().line);
                mistakes.add(line, "transaction_id", &row.transaction_id, allowed);
            }
        }
        let Some(facts) = self.accounts.get_mut(account as usize) else { return };
        // Behind a row that could not be read, a balance that does not follow may be right.
        if is_chain_whole && facts.balance_minor.checked_add(row.amount_minor) != Some(row.balance_after_minor) {
            let allowed = format!(
                "the balance before ({}) plus the amount ({}); an account starts at 0",
                facts.balance_minor, row.amount_minor
            );
            mistakes.add(line, "balance_after_minor", &row.balance_after_minor.to_string(), allowed);
        }
        facts.rows += 1;
        self.rows += 1;
        facts.balance_minor = row.balance_after_minor;
        facts.balance_minor_min = facts.balance_minor_min.min(row.balance_after_minor);
    }

    fn account(&mut self, account_id: &str) -> Option<u32> {
        if let Some(index) = self.index.get(account_id) {
            return Some(*index);
        }
        let index = u32::try_from(self.accounts.len()).ok()?;
        self.index.insert(account_id.to_owned(), index);
        self.accounts.push(AccountFacts {
            account_id: account_id.to_owned(),
            rows: 0,
            balance_minor: 0,
            balance_minor_min: 0,
        });
        Some(index)
    }
}

/// Reads and judges the whole file.
///
/// # Errors
/// When it cannot be read; mistakes in it are no error of the survey.
pub(crate) fn survey(path: &Path, names: &Names) -> anyhow::Result<Result<Survey, Mistakes>> {
    survey_lines(file::open(path)?, names).with_context(|| format!("cannot read {}", path.display()))
}

/// The same for lines from anywhere.
pub(crate) fn survey_lines(lines: Lines, names: &Names) -> anyhow::Result<Result<Survey, Mistakes>> {
    let mut rows = Rows::new(lines);
    let mut survey = Survey::default();
    while let Some((line, row)) = rows.next_row(names)? {
        let is_chain_whole = !rows.passed_over;
        survey.add(&row, line, names, is_chain_whole, &mut rows.mistakes);
    }
    let mut mistakes = rows.mistakes;
    if mistakes.count == 0 && survey.accounts.is_empty() {
        mistakes.add(1, "row", "", "a header and at least one row");
    }
    Ok(if mistakes.count == 0 { Ok(survey) } else { Err(mistakes) })
}

/// The rows of a file, one after another.
pub(crate) struct Rows {
    lines: Lines,
    header: Option<Header>,
    record: StringRecord,
    /// Whether a row had a mistake and was passed over.
    passed_over: bool,
    /// What was wrong so far.
    pub(crate) mistakes: Mistakes,
}

impl Rows {
    /// Starts at the header.
    pub(crate) fn new(lines: Lines) -> Self {
        Self { lines, header: None, record: StringRecord::new(), passed_over: false, mistakes: Mistakes::default() }
    }

    /// The next row without mistakes, with its line; `None` at the end, or after a header that is no use.
    ///
    /// # Errors
    /// When the file cannot be read on.
    pub(crate) fn next_row(&mut self, names: &Names) -> std::io::Result<Option<(u64, Row)>> {
        loop {
            let line = match file::read_line(&mut self.lines, &mut self.record)? {
                ReadLine::Record { line } => line,
                ReadLine::NotText { line } => {
                    self.passed_over = true;
                    self.mistakes.add(line, "row", "bytes that are not text", "UTF-8");
                    continue;
                }
                ReadLine::End => return Ok(None),
            };
            let Some(header) = &self.header else {
                self.header = Header::parse(&self.record, line, &mut self.mistakes);
                if self.header.is_none() {
                    return Ok(None);
                }
                continue;
            };
            if let Some(row) = header.row(&self.record, line, names.account_prefix(), &mut self.mistakes) {
                return Ok(Some((line, row)));
            }
            self.passed_over = true;
        }
    }
}
