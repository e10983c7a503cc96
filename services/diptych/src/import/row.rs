//! A row of the file, validated column by column.

use csv::StringRecord;
use jiff::civil::Date;

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

/// The largest amount and the largest overdraft limit that the API accepts.
pub(crate) const AMOUNT_MINOR_MAX: i64 = 1_000_000_000_000_000;
const ACCOUNT_ID_BYTES_MAX: usize = 64;
/// Limit of the API for the reference of a posting.
const TRANSACTION_ID_BYTES_MAX: usize = 140;
/// Limit of each half of the counterparty, so that "bank/account" fits into the 140 bytes that the API accepts.
const COUNTERPARTY_BYTES_MAX: usize = 69;

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
        check.text("transaction_id", transaction, 1, TRANSACTION_ID_BYTES_MAX);
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

/// Returns whether the API accepts the text as an account id or owner id.
pub(crate) fn is_identifier(text: &str) -> bool {
    (1..=ACCOUNT_ID_BYTES_MAX).contains(&text.len()) && is_identifier_part(text)
}

/// Returns whether the text has only characters that an id may have.
pub(crate) fn is_identifier_part(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
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
        if !(bytes_min..=bytes_max).contains(&value.len()) || value.chars().any(char::is_control) {
            self.error(column, value, format!("{bytes_min} to {bytes_max} bytes of text without control characters"));
        }
    }

    fn account(&mut self, value: &str, prefix: &str) {
        let bytes = prefix.len() + value.len();
        if value.is_empty() || bytes > ACCOUNT_ID_BYTES_MAX || !is_identifier_part(value) {
            let bytes_max = ACCOUNT_ID_BYTES_MAX.saturating_sub(prefix.len());
            self.error("account_id", value, format!("1 to {bytes_max} of A-Z, a-z, 0-9, '.', '_', '-'"));
        }
    }

    fn date(&mut self, value: &str) {
        let has_form = value.len() == 10
            && value.bytes().enumerate().all(|(index, byte)| match index {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        if !has_form || value.parse::<Date>().is_err() {
            self.error("value_date", value, "a valid date, YYYY-MM-DD");
        }
    }

    fn amount(&mut self, value: &str) -> Option<i64> {
        match value.parse::<i64>() {
            Ok(amount) if amount != 0 && amount.unsigned_abs() <= AMOUNT_MINOR_MAX.unsigned_abs() => Some(amount),
            _ => {
                self.error("amount_minor", value, "a whole number of minor units, -10^15 to 10^15 and not 0");
                None
            }
        }
    }

    fn balance(&mut self, value: &str) -> Option<i64> {
        match value.parse::<i64>() {
            // A lower balance would need an overdraft limit that the API does not accept.
            Ok(balance) if balance >= -AMOUNT_MINOR_MAX => Some(balance),
            _ => {
                self.error(
                    "balance_after_minor",
                    value,
                    format!("a whole number of minor units, -10^15 to {}", i64::MAX),
                );
                None
            }
        }
    }

    fn one_of(&mut self, column: &'static str, value: &str, allowed: &[&str], may_be_empty: bool) {
        if allowed.contains(&value) || (value.is_empty() && may_be_empty) {
            return;
        }
        let or_empty = if may_be_empty { ", or empty" } else { "" };
        self.error(column, value, format!("{}{or_empty}", allowed.join(", ")));
    }
}
