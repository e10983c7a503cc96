//! How an audit ended.

use std::collections::BTreeMap;

use diptych_projector::audit::AuditReport;
use serde::Serialize;

use super::standing::{Standing, Sums};
use crate::client::table::{Table, grouped};

/// What is printed, as a table or as JSON.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    events: u64,
    events_not_yet_projected: u64,
    views: BTreeMap<String, Rows>,
    /// `null` where commands came in all the time.
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
    /// Of both audits.
    pub(super) fn new(audit: &AuditReport, standing: Standing) -> Self {
        let currencies = match standing {
            Standing::Compared(sums) => {
                Some(sums.into_iter().map(|(code, sums)| (code, Currency::new(sums))).collect())
            }
            Standing::Moving => None,
        };
        let unequal = currencies.iter().flat_map(BTreeMap::values).any(|currency: &Currency| !currency.equal);
        let views = audit.views.iter().map(|(view, count)| {
            (view.to_string(), Rows { rows_expected: count.rows_expected, rows_stored: count.rows_stored })
        });
        let parked = audit.parked.iter().map(|(view, partition, parked)| {
            let (stream_id, version, reason) = (&parked.stream_id, parked.version, &parked.reason);
            format!(
                "view {view}, partition {partition}: stream {stream_id} stands still before version {version}: {reason}"
            )
        });
        Self {
            events: audit.events,
            events_not_yet_projected: audit.events_not_yet_projected,
            views: views.collect(),
            currencies,
            differences_count: audit.differences_count,
            differences: audit.differences.iter().map(ToString::to_string).collect(),
            parked: parked.collect(),
            clean: audit.is_clean() && !unequal,
        }
    }

    /// Whether everything is as the events say.
    pub(super) fn is_clean(&self) -> bool {
        self.clean
    }

    /// The report for people.
    pub(super) fn table(&self) -> Table {
        let mut table = Table::default();
        table.row(["events replayed", &grouped(self.events)]);
        table.row(["events not yet in the views", &grouped(self.events_not_yet_projected)]);
        table.row(["view", "rows by the events", "rows stored"]);
        for (view, rows) in &self.views {
            table.row([format!("  {view}"), grouped(rows.rows_expected), grouped(rows.rows_stored)]);
        }
        table.row(["differences", &grouped(self.differences_count)]);
        table.row(["parked streams", &(self.parked.len().to_string())]);
        self.currency_notes(&mut table);
        for line in self.differences.iter().chain(&self.parked) {
            table.note(line.as_str());
        }
        table.note(if self.clean { "clean" } else { "NOT clean" });
        table
    }

    fn currency_notes(&self, table: &mut Table) {
        let Some(currencies) = &self.currencies else {
            table.note(
                "sums by currency: not compared, because the views moved all the time; run again when it is quieter",
            );
            return;
        };
        for (code, Currency { sums, equal }) in currencies {
            table.note(format!(
                "{code}: {} accounts hold {}; deposits - withdrawals = {}: {}",
                sums.accounts,
                sums.balances_minor,
                sums.deposits_minus_withdrawals_minor,
                if *equal { "equal" } else { "DIFFERENT" }
            ));
            if !equal {
                table.note(format!("{code}: {sums:?}"));
            }
        }
    }
}

impl Currency {
    fn new(sums: Sums) -> Self {
        Self { equal: sums.is_equal(), sums }
    }
}
