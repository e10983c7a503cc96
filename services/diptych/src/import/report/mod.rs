//! How an import ended.

use std::{collections::BTreeMap, time::Duration};

use diptych_proto::ledger::query::v1::Totals;
use serde::Serialize;

use super::{
    check::Checked,
    survey::Survey,
    tally::{Refused, Tally},
};
use crate::client::table::{Table, grouped, per_second, rounded_to_millis};

/// What is printed at the end, as a table or as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    rows: u64,
    accepted: u64,
    already_done: u64,
    refused: u64,
    refused_by_reason: BTreeMap<String, u64>,
    accounts: u64,
    accounts_opened: u64,
    accounts_already_open: u64,
    accounts_refused_by_reason: BTreeMap<String, u64>,
    seconds: f64,
    rows_per_second: u64,
    accounts_equal: u64,
    entries_equal: u64,
    entries_unexpected: u64,
    totals: Option<ReportedTotals>,
    /// What was refused and what differs: the first of each.
    problems: Vec<String>,
    /// Whether sending and checking came to their ends.
    complete: bool,
    /// Whether every row is in and everything shows as the file has it.
    equal: bool,
}

#[derive(Debug, Serialize)]
struct ReportedTotals {
    currency_code: String,
    balance_minor: String,
    deposits_minor: String,
    withdrawals_minor: String,
    entry_count: i64,
}

impl Report {
    /// Of an import that was sent in `took` and, unless something stopped it, checked.
    pub(crate) fn new(survey: &Survey, tally: &Tally, took: Duration, checked: Result<Checked, String>) -> Self {
        let complete = checked.is_ok();
        let (checked, stopped_by) = match checked {
            Ok(checked) => (checked, None),
            Err(reason) => (Checked::default(), Some(reason)),
        };
        let refusals = tally.accounts_refused.iter().chain(&tally.rows_refused);
        let problems = refusals
            .map(|(reason, refused)| format!("{reason}: {} ({} in all)", refused.first, grouped(refused.count)))
            .chain(checked.differences)
            .chain(stopped_by)
            .collect();
        let rows = survey.rows;
        let accounts = survey.accounts.len() as u64;
        let equal = complete
            && tally.rows_done() == rows
            && tally.accounts_refused.is_empty()
            && checked.accounts_equal == accounts
            && checked.entries_equal == rows
            && checked.entries_unexpected == 0;
        Self {
            rows,
            accepted: tally.rows_accepted,
            already_done: tally.rows_already_done,
            refused: tally.rows_refused_count(),
            refused_by_reason: counts(&tally.rows_refused),
            accounts,
            accounts_opened: tally.accounts_opened,
            accounts_already_open: tally.accounts_already_open,
            accounts_refused_by_reason: counts(&tally.accounts_refused),
            seconds: rounded_to_millis(took),
            rows_per_second: per_second(tally.rows_done() + tally.rows_refused_count(), took.as_secs_f64()),
            accounts_equal: checked.accounts_equal,
            entries_equal: checked.entries_equal,
            entries_unexpected: checked.entries_unexpected,
            totals: checked.totals.map(ReportedTotals::from),
            problems,
            complete,
            equal,
        }
    }

    /// Whether the import is a success.
    pub(crate) fn equal(&self) -> bool {
        self.equal
    }

    /// The report for people.
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::default();
        table.row(["rows", &grouped(self.rows)]);
        table.row(["accepted", &grouped(self.accepted)]);
        table.row(["already done", &grouped(self.already_done)]);
        table.row(["refused", &grouped(self.refused)]);
        for (reason, count) in &self.refused_by_reason {
            table.row([&format!("  {reason}"), &grouped(*count)]);
        }
        table.row(["rows/s", &grouped(self.rows_per_second)]);
        table.row(["accounts opened", &grouped(self.accounts_opened)]);
        table.row(["accounts already open", &grouped(self.accounts_already_open)]);
        for (reason, count) in &self.accounts_refused_by_reason {
            table.row([&format!("  refused: {reason}"), &grouped(*count)]);
        }
        if self.complete {
            table.row(["balances equal", &of(self.accounts_equal, self.accounts)]);
            table.row(["entries equal", &of(self.entries_equal, self.rows)]);
            table.row(["entries not of the file", &grouped(self.entries_unexpected)]);
        }
        if let Some(totals) = &self.totals {
            table.note(format!(
                "the ledger holds {} minor units of {}: deposits {} - withdrawals {}, {} entries",
                totals.balance_minor,
                totals.currency_code,
                totals.deposits_minor,
                totals.withdrawals_minor,
                totals.entry_count
            ));
        }
        for problem in &self.problems {
            table.note(problem.as_str());
        }
        table.note(if self.equal { "all equal" } else { "NOT equal" });
        table
    }
}

fn of(part: u64, whole: u64) -> String {
    format!("{} of {}", grouped(part), grouped(whole))
}

fn counts(refused: &BTreeMap<String, Refused>) -> BTreeMap<String, u64> {
    refused.iter().map(|(reason, refused)| (reason.clone(), refused.count)).collect()
}

impl From<Totals> for ReportedTotals {
    fn from(totals: Totals) -> Self {
        Self {
            currency_code: totals.currency_code,
            balance_minor: totals.balance_minor,
            deposits_minor: totals.deposits_minor,
            withdrawals_minor: totals.withdrawals_minor,
            entry_count: totals.entry_count,
        }
    }
}

#[cfg(test)]
mod tests;
