//! The result of `verify`.

use std::collections::BTreeMap;

use diptych_projector::audit::AuditReport;
use serde::Serialize;

use super::{
    checksums::ChecksumComparison,
    sums::{SumComparison, Sums},
};
use crate::client::table::{Table, grouped};

/// The result, printed as a table or as JSON.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    events: u64,
    events_not_yet_projected: u64,
    /// Events with a checksum, which was compared.
    events_checksums_compared: u64,
    /// Snapshots with a checksum, which was compared.
    snapshots_checksums_compared: u64,
    views: BTreeMap<String, Rows>,
    /// `null` if the sums could not be compared, as the views changed all the time.
    currencies: Option<BTreeMap<String, Currency>>,
    differences_count: u64,
    differences: Vec<String>,
    parked: Vec<String>,
    clean: bool,
}

#[derive(Debug, Serialize)]
struct Rows {
    rows_expected: u64,
    rows_stored: u64,
}

#[derive(Debug, Serialize)]
struct Currency {
    #[serde(flatten)]
    sums: Sums,
    equal: bool,
}

impl Report {
    /// Report of the audit and of the comparison of checksums and sums.
    pub(super) fn new(audit: &AuditReport, checksums: &ChecksumComparison, sums: SumComparison) -> Self {
        let currencies = match sums {
            SumComparison::Compared(sums) => {
                Some(sums.into_iter().map(|(code, sums)| (code, Currency::new(sums))).collect())
            }
            SumComparison::ViewsChanging => None,
        };
        let any_unequal = currencies.iter().flat_map(BTreeMap::values).any(|currency: &Currency| !currency.equal);
        let views = audit.views.iter().map(|(view, count)| {
            (view.to_string(), Rows { rows_expected: count.rows_expected, rows_stored: count.rows_stored })
        });
        let damaged = checksums.damaged.iter().map(ToString::to_string);
        let parked = audit.parked.iter().map(|(view, partition, parked)| {
            let (stream_id, version, reason) = (&parked.stream_id, parked.version, &parked.reason);
            format!("view {view}, partition {partition}: stream {stream_id} is parked at version {version}: {reason}")
        });
        Self {
            events: audit.events,
            events_not_yet_projected: audit.events_not_yet_projected,
            events_checksums_compared: checksums.events_compared,
            snapshots_checksums_compared: checksums.snapshots_compared,
            views: views.collect(),
            currencies,
            differences_count: audit.differences_count + checksums.damaged_count,
            differences: audit.differences.iter().map(ToString::to_string).chain(damaged).collect(),
            parked: parked.collect(),
            clean: audit.is_clean() && checksums.damaged_count == 0 && !any_unequal,
        }
    }

    /// Returns whether there are no differences and no parked streams.
    pub(super) fn is_clean(&self) -> bool {
        self.clean
    }

    /// Returns the report as a table.
    pub(super) fn table(&self) -> Table {
        let mut table = Table::default();
        table.row(["events replayed", &grouped(self.events)]);
        table.row(["events not yet projected", &grouped(self.events_not_yet_projected)]);
        table.row(["checksums of events compared", &grouped(self.events_checksums_compared)]);
        table.row(["checksums of snapshots compared", &grouped(self.snapshots_checksums_compared)]);
        table.row(["view", "rows expected", "rows stored"]);
        for (view, rows) in &self.views {
            table.row([format!("  {view}"), grouped(rows.rows_expected), grouped(rows.rows_stored)]);
        }
        table.row(["differences", &grouped(self.differences_count)]);
        table.row(["parked streams", &(self.parked.len().to_string())]);
        self.currency_notes(&mut table);
        for line in self.differences.iter().chain(&self.parked) {
            table.note(line.as_str());
        }
        table.note(if self.clean {
            "no differences: every view matches its events"
        } else {
            "NOT clean: there are differences or parked streams"
        });
        table
    }

    fn currency_notes(&self, table: &mut Table) {
        let Some(currencies) = &self.currencies else {
            table.note("balances by currency: not compared, as the views changed all the time; run again at less load");
            return;
        };
        for (code, Currency { sums, equal }) in currencies {
            let Sums { accounts, balances_minor, deposits_minus_withdrawals_minor, .. } = sums;
            let accounts = format!("{code} (minor units): balance of all {accounts} accounts {balances_minor}");
            if *equal {
                table.note(format!("{accounts} = deposits - withdrawals"));
                continue;
            }
            table.note(format!("{accounts}, deposits - withdrawals {deposits_minus_withdrawals_minor}: NOT equal"));
            table.note(format!(
                "  view accounts: balance {balances_minor}, {} accounts, {} entries; view totals: balance {}, {} accounts, \
                 {} entries",
                sums.accounts, sums.entries, sums.totals_balance_minor, sums.accounts_opened, sums.totals_entries
            ));
        }
    }
}

impl Currency {
    fn new(sums: Sums) -> Self {
        Self { equal: sums.is_equal(), sums }
    }
}
