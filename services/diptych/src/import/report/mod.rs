//! The result of an import.

use std::{collections::BTreeMap, time::Duration};

use diptych_proto::ledger::query::v1::Totals;
use serde::Serialize;

use super::{
    counts::{Counts, Refusals},
    reconciliation::Reconciliation,
    validation::ValidFile,
};
use crate::client::table::{Table, grouped, per_second, rounded_to_millis};

/// The result, printed as a table or as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    rows: u64,
    accepted: u64,
    already_imported: u64,
    refused: u64,
    refused_by_reason: BTreeMap<String, u64>,
    accounts: u64,
    accounts_opened: u64,
    accounts_already_open: u64,
    accounts_refused_by_reason: BTreeMap<String, u64>,
    seconds: f64,
    rows_per_second: u64,
    balances_matched: u64,
    entries_matched: u64,
    entries_unexpected: u64,
    totals: Option<ReportedTotals>,
    /// The first refusal of each reason, the first differences, and the error that ended the import.
    problems: Vec<String>,
    /// All rows were answered, and all balances and entries compared.
    complete: bool,
    /// Every row is imported, and every balance and entry matches the file.
    matches_file: bool,
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
    /// Report of an import whose commands were sent in `took`. An error instead of a reconciliation ended the import.
    pub(crate) fn new(
        file: &ValidFile,
        counts: &Counts,
        took: Duration,
        reconciled: Result<Reconciliation, String>,
    ) -> Self {
        let complete = reconciled.is_ok();
        let (reconciliation, error) = match reconciled {
            Ok(reconciliation) => (reconciliation, None),
            Err(error) => (Reconciliation::default(), Some(error)),
        };
        let refusals = counts.accounts_refused.iter().chain(&counts.rows_refused);
        let problems = refusals
            .map(|(reason, refusals)| format!("{reason}: {} ({} in all)", refusals.first, grouped(refusals.count)))
            .chain(reconciliation.differences)
            .chain(error)
            .collect();
        let rows = file.rows;
        let accounts = file.accounts.len() as u64;
        let matches_file = complete
            && counts.rows_imported() == rows
            && counts.accounts_refused.is_empty()
            && reconciliation.balances_matched == accounts
            && reconciliation.entries_matched == rows
            && reconciliation.entries_unexpected == 0;
        Self {
            rows,
            accepted: counts.rows_accepted,
            already_imported: counts.rows_already_imported,
            refused: counts.rows_refused_count(),
            refused_by_reason: counts_by_reason(&counts.rows_refused),
            accounts,
            accounts_opened: counts.accounts_opened,
            accounts_already_open: counts.accounts_already_open,
            accounts_refused_by_reason: counts_by_reason(&counts.accounts_refused),
            seconds: rounded_to_millis(took),
            rows_per_second: per_second(counts.rows_answered(), took.as_secs_f64()),
            balances_matched: reconciliation.balances_matched,
            entries_matched: reconciliation.entries_matched,
            entries_unexpected: reconciliation.entries_unexpected,
            totals: reconciliation.totals.map(ReportedTotals::from),
            problems,
            complete,
            matches_file,
        }
    }

    /// Returns whether every row is imported, and every balance and entry matches the file.
    pub(crate) fn matches_file(&self) -> bool {
        self.matches_file
    }

    /// Returns the report as a table.
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::default();
        table.row(["rows", &grouped(self.rows)]);
        table.row(["accepted", &grouped(self.accepted)]);
        table.row(["already imported", &grouped(self.already_imported)]);
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
            table.row(["balances matched", &of(self.balances_matched, self.accounts)]);
            table.row(["entries matched", &of(self.entries_matched, self.rows)]);
            table.row(["entries not in the file", &grouped(self.entries_unexpected)]);
        }
        if let Some(totals) = &self.totals {
            table.note(format!(
                "all {} in the ledger (minor units): balance {}, deposits {}, withdrawals {}, {} entries",
                totals.currency_code,
                totals.balance_minor,
                totals.deposits_minor,
                totals.withdrawals_minor,
                totals.entry_count
            ));
        }
        for problem in &self.problems {
            table.note(problem.as_str());
        }
        table.note(match (self.matches_file, self.complete) {
            (true, _) => "the ledger matches the file",
            (false, true) => "the ledger does NOT match the file",
            (false, false) => "the import did NOT finish",
        });
        table
    }
}

fn of(part: u64, whole: u64) -> String {
    format!("{} of {}", grouped(part), grouped(whole))
}

fn counts_by_reason(refused: &BTreeMap<String, Refusals>) -> BTreeMap<String, u64> {
    refused.iter().map(|(reason, refusals)| (reason.clone(), refusals.count)).collect()
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
