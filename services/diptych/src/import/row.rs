//! One row of the file, checked column by column.

use csv::StringRecord;
use jiff::civil::Date;

use super::mistake::Mistakes;

/// The columns, in the order in which the README of the real file gives them. A file may have them in any order.
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

/// The largest amount of a command and the largest overdraft limit, as the contract has them.
pub(crate) const AMOUNT_MINOR_MAX: i64 = 1_000_000_000_000_000;
const ACCOUNT_ID_BYTES_MAX: usize = 64;
/// Of the reference of a posting.
const TRANSACTION_ID_BYTES_MAX: usize = 140;
/// Each half of the counterparty, so that both and the stroke between them fit into its 140 bytes.
const COUNTERPARTY_BYTES_MAX: usize = 69;

/// A row in which every column is as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// The bank's id of the transaction.
    pub(crate) transaction_id: String,
    /// The id of the account in the ledger: the prefix and the bank's number.
    pub(crate) account_id: String,
    /// YYYY-MM-DD.
    pub(crate) value_date: String,
    /// Never 0.
    pub(crate) amount_minor: i64,
    /// The balance that the bank showed after it.
    pub(crate) balance_after_minor: i64,
    /// What the bank did, and what for where it says so.
    pub(crate) purpose: String,
    /// Bank and account of the other side; empty where there is none.
    pub(crate) counterparty: String,
}

/// Where each of [`COLUMNS`] stands in this file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    places: [usize; COLUMNS.len()],
}

impl Header {
    /// Reads the header line; `None` after a mistake.
    pub(crate) fn parse(record: &StringRecord, line: u64, mistakes: &mut Mistakes) -> Option<Self> {
        let before = mistakes.count;
        for name in record {
            if !COLUMNS.contains(&name) {
                mistakes.add(line, "header", name, format!("only the columns {}", COLUMNS.join(", ")));
            }
        }
        let mut places = [0; COLUMNS.len()];
        for (column, place) in COLUMNS.iter().zip(&mut places) {
            let found: Vec<usize> =
                record.iter().enumerate().filter(|(_, name)| name == column).map(|(index, _)| index).collect();
            match found.as_slice() {
                [only] => *place = *only,
                [] => mistakes.add(line, "header", "", format!("a column {column}, which is missing")),
                _ => mistakes.add(line, "header", column, "each column once"),
            }
        }
        (mistakes.count == before).then_some(Self { places })
    }

    /// Reads a row; `None` after a mistake. All mistakes of the row are told.
    pub(crate) fn row(
        &self,
        record: &StringRecord,
        line: u64,
        account_prefix: &str,
        mistakes: &mut Mistakes,
    ) -> Option<Row> {
        if record.len() != COLUMNS.len() {
            mistakes.add(line, "row", &format!("{} columns", record.len()), format!("{} columns", COLUMNS.len()));
            return None;
        }
        let mut values = [""; COLUMNS.len()];
        for (value, place) in values.iter_mut().zip(self.places) {
            *value = record.get(place).unwrap_or_default();
        }
        let [transaction, account, date, amount, balance, operation, purpose, bank, counterparty] = values;

        let before = mistakes.count;
        let mut check = Check { line, mistakes };
        check.text("transaction_id", transaction, 1, TRANSACTION_ID_BYTES_MAX);
        check.account(account, account_prefix);
        check.date(date);
        let amount_minor = check.amount(amount);
        let balance_after_minor = check.balance(balance);
        check.one_of("operation", operation, &OPERATIONS, false);
        check.one_of("purpose", purpose, &PURPOSES, true);
        check.text("counterparty_bank", bank, 0, COUNTERPARTY_BYTES_MAX);
        check.text("counterparty_account", counterparty, 0, COUNTERPARTY_BYTES_MAX);
        if mistakes.count != before {
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

/// Both with the separator between them, or the one that is not empty.
fn joined(first: &str, separator: &str, second: &str) -> String {
    match (first, second) {
        ("", only) | (only, "") => only.to_owned(),
        (first, second) => format!("{first}{separator}{second}"),
    }
}

/// Whether the contract allows the text as an account id or owner id.
pub(crate) fn is_identifier(text: &str) -> bool {
    (1..=ACCOUNT_ID_BYTES_MAX).contains(&text.len()) && is_identifier_part(text)
}

/// Whether an identifier may contain the text.
pub(crate) fn is_identifier_part(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// The checks of the columns of one line.
struct Check<'a> {
    line: u64,
    mistakes: &'a mut Mistakes,
}

impl Check<'_> {
    fn wrong(&mut self, column: &'static str, value: &str, allowed: impl Into<String>) {
        self.mistakes.add(self.line, column, value, allowed);
    }

    fn text(&mut self, column: &'static str, value: &str, bytes_min: usize, bytes_max: usize) {
        if !(bytes_min..=bytes_max).contains(&value.len()) || value.chars().any(char::is_control) {
            self.wrong(column, value, format!("{bytes_min} to {bytes_max} bytes of text without control characters"));
        }
    }

    fn account(&mut self, value: &str, prefix: &str) {
        let bytes = prefix.len() + value.len();
        if value.is_empty() || bytes > ACCOUNT_ID_BYTES_MAX || !is_identifier_part(value) {
            let room = ACCOUNT_ID_BYTES_MAX.saturating_sub(prefix.len());
            self.wrong("account_id", value, format!("1 to {room} of A-Z, a-z, 0-9, '.', '_', '-'"));
        }
    }

    fn date(&mut self, value: &str) {
        let digits_and_hyphens = value.len() == 10
            && value.bytes().enumerate().all(|(index, byte)| match index {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        if !digits_and_hyphens || value.parse::<Date>().is_err() {
            self.wrong("value_date", value, "a day that exists, as YYYY-MM-DD");
        }
    }

    fn amount(&mut self, value: &str) -> Option<i64> {
        match value.parse::<i64>() {
            Ok(amount) if amount != 0 && amount.unsigned_abs() <= AMOUNT_MINOR_MAX.unsigned_abs() => Some(amount),
            _ => {
                self.wrong("amount_minor", value, "a whole number of minor units, -10^15 to 10^15 and not 0");
                None
            }
        }
    }

    fn balance(&mut self, value: &str) -> Option<i64> {
        match value.parse::<i64>() {
            // What is further below could not be allowed by any overdraft limit.
            Ok(balance) if balance >= -AMOUNT_MINOR_MAX => Some(balance),
            _ => {
                self.wrong(
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
        self.wrong(column, value, format!("{}{or_empty}", allowed.join(", ")));
    }
}
