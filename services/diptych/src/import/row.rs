//! A row of the file, validated column by column. The ledger's own types decide what is valid, so that it refuses no
//! row that was sent.

use csv::StringRecord;
use diptych_ledger::domain::{AccountId, Amount, OverdraftLimit, Text, ValueDate};

use super::validation_error::ValidationErrors;

/// All columns. A file may have them in any order.
pub(crate) const COLUMNS: [&str; 9] = [
    "transaction_id",
    "account_id",
    "value_date",
    "amount_minor",
    "balance_after_minor",
    "operation",
    "purpose",
    "counterparty_bank",
    "counterparty_account",
];
const OPERATIONS: [&str; 6] =
    ["cash_deposit", "transfer_in", "cash_withdrawal", "transfer_out", "card_withdrawal", "internal"];
const PURPOSES: [&str; 7] =
    ["interest", "statement_fee", "household", "pension", "insurance", "loan_payment", "penalty_interest"];

const ACCOUNT_ID_BYTES_MAX: usize = 64;
/// Limit of each half of the counterparty, so that "bank/account" fits into a text of the ledger.
const COUNTERPARTY_BYTES_MAX: usize = (Text::BYTES_MAX - 1) / 2;

/// A row with valid values in all columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// Id that the bank gave to the transaction.
    pub(crate) transaction_id: String,
    /// Id of the account in the ledger: the prefix and the id in the file.
    pub(crate) account_id: String,
    /// YYYY-MM-DD.
    pub(crate) value_date: String,
    /// Above 0 deposited, below 0 withdrawn; never 0.
    pub(crate) amount_minor: i64,
    /// Balance of the account after it.
    pub(crate) balance_after_minor: i64,
    /// The operation, and the purpose if there is one: "transfer_out: household".
    pub(crate) purpose: String,
    /// Bank and account of the counterparty, "bank/account"; empty if the file names none.
    pub(crate) counterparty: String,
}

/// Index of each of [`COLUMNS`] in this file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    indexes: [usize; COLUMNS.len()],
}

impl Header {
    /// Reads the header; `None` if it is invalid.
    pub(crate) fn parse(record: &StringRecord, line: u64, errors: &mut ValidationErrors) -> Option<Self> {
        let count_before = errors.count;
        if !record.iter().any(|name| COLUMNS.contains(&name)) {
            let shown = record.iter().collect::<Vec<_>>().join(",");
            let expected = format!("the columns {}; is the separator a comma?", COLUMNS.join(", "));
            errors.add(line, "header", &shown, expected);
            return None;
        }
        for name in record {
            if !COLUMNS.contains(&name) {
                errors.add(line, "header", name, format!("only the columns {}", COLUMNS.join(", ")));
            }
        }
        let (mut indexes, mut missing) = ([0; COLUMNS.len()], Vec::new());
        for (column, index) in COLUMNS.iter().zip(&mut indexes) {
            let found: Vec<usize> =
                record.iter().enumerate().filter(|(_, name)| name == column).map(|(found, _)| found).collect();
            match found.as_slice() {
                [only] => *index = *only,
                [] => missing.push(*column),
                _ => errors.add(line, "header", column, "each column once"),
            }
        }
        match missing.as_slice() {
            [] => {}
            [one] => errors.add(line, "header", "", format!("a column {one}, which is missing")),
            several => errors.add(line, "header", "", format!("the columns {}, which are missing", several.join(", "))),
        }
        (errors.count == count_before).then_some(Self { indexes })
    }

    /// Reads a row; `None` if it is invalid. Adds all of its errors.
    pub(crate) fn row(
        &self,
        record: &StringRecord,
        line: u64,
        account_prefix: &str,
        errors: &mut ValidationErrors,
    ) -> Option<Row> {
        if record.len() != COLUMNS.len() {
            errors.add(line, "row", &format!("{} columns", record.len()), format!("{} columns", COLUMNS.len()));
            return None;
        }
        let mut values = [""; COLUMNS.len()];
        for (value, index) in values.iter_mut().zip(self.indexes) {
            *value = record.get(index).unwrap_or_default();
        }
        let [transaction, account, date, amount, balance, operation, purpose, bank, counterparty] = values;

        let count_before = errors.count;
        let mut check = RowCheck { line, errors };
        check.text("transaction_id", transaction, 1, Text::BYTES_MAX);
        check.account(account, account_prefix);
        check.date(date);
        let amount_minor = check.amount(amount);
        let balance_after_minor = check.balance(balance);
        check.one_of("operation", operation, &OPERATIONS, false);
        check.one_of("purpose", purpose, &PURPOSES, true);
        check.text("counterparty_bank", bank, 0, COUNTERPARTY_BYTES_MAX);
        check.text("counterparty_account", counterparty, 0, COUNTERPARTY_BYTES_MAX);
        if errors.count != count_before {
            return None;
        }
        Some(Row {
            transaction_id: transaction.to_owned(),
            account_id: format!("{account_prefix}{account}"),
            value_date: date.to_owned(),
            amount_minor: amount_minor?,
            balance_after_minor: balance_after_minor?,
            purpose: joined(operation, ": ", purpose),
            counterparty: joined(bank, "/", counterparty),
        })
    }
}

/// Joins two texts with a separator; returns the other one if one is empty.
fn joined(first: &str, separator: &str, second: &str) -> String {
    match (first, second) {
        ("", only) | (only, "") => only.to_owned(),
        (first, second) => format!("{first}{separator}{second}"),
    }
}

/// Checks the values of a row, and adds errors.
struct RowCheck<'a> {
    line: u64,
    errors: &'a mut ValidationErrors,
}

impl RowCheck<'_> {
    fn error(&mut self, column: &'static str, value: &str, expected: impl Into<String>) {
        self.errors.add(self.line, column, value, expected);
    }

    fn text(&mut self, column: &'static str, value: &str, bytes_min: usize, bytes_max: usize) {
        if !(bytes_min..=bytes_max).contains(&value.len()) || Text::parse(value.to_owned()).is_err() {
            self.error(column, value, format!("{bytes_min} to {bytes_max} bytes of text without control characters"));
        }
    }

    fn account(&mut self, value: &str, prefix: &str) {
        if value.is_empty() || AccountId::parse(&format!("{prefix}{value}")).is_err() {
            let bytes_max = ACCOUNT_ID_BYTES_MAX.saturating_sub(prefix.len());
            self.error("account_id", value, format!("1 to {bytes_max} of A-Z, a-z, 0-9, '.', '_', '-'"));
        }
    }

    fn date(&mut self, value: &str) {
        if ValueDate::parse(value).is_err() {
            self.error("value_date", value, "a valid date, YYYY-MM-DD, of the years 0001 to 9999");
        }
    }

    fn amount(&mut self, value: &str) -> Option<i64> {
        let amount = value.parse::<i64>().ok();
        let is_valid = |amount: &i64| amount.checked_abs().is_some_and(|minor| Amount::from_minor(minor).is_ok());
        let amount = amount.filter(is_valid);
        if amount.is_none() {
            self.error("amount_minor", value, "a whole number of minor units, -10^15 to 10^15 and not 0");
        }
        amount
    }

    fn balance(&mut self, value: &str) -> Option<i64> {
        // A negative balance needs that overdraft limit.
        let is_valid = |balance: &i64| {
            let limit = balance.checked_neg().map(|minor| minor.max(0));
            limit.is_some_and(|minor| OverdraftLimit::from_minor(minor).is_ok())
        };
        let balance = value.parse::<i64>().ok().filter(is_valid);
        if balance.is_none() {
            let expected = format!("a whole number of minor units, -10^15 to {}", i64::MAX);
            self.error("balance_after_minor", value, expected);
        }
        balance
    }

    fn one_of(&mut self, column: &'static str, value: &str, allowed: &[&str], may_be_empty: bool) {
        if allowed.contains(&value) || (value.is_empty() && may_be_empty) {
            return;
        }
        let or_empty = if may_be_empty { ", or empty" } else { "" };
        self.error(column, value, format!("{}{or_empty}", allowed.join(", ")));
    }
}
