//! How a measurement ended.

use std::collections::BTreeMap;

use serde::Serialize;

use super::measured::Measured;
use crate::client::table::{Table, grouped, per_second, rounded_to_millis};

/// What is printed, as a table or as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    #[serde(flatten)]
    setting: Setting,
    series: Vec<Series>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio: Option<Ratio>,
    /// Answers without an error that did not show the command of their token.
    #[serde(skip_serializing_if = "Option::is_none")]
    stale: Option<u64>,
    /// Commands that were due and not sent, because too many were unanswered.
    #[serde(skip_serializing_if = "Option::is_none")]
    late: Option<u64>,
}

/// How it was measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Setting {
    /// The measurement.
    #[serde(rename = "bench")]
    pub(crate) what: &'static str,
    /// `unary` or `stream`.
    pub(crate) mode: &'static str,
    /// Connections.
    pub(crate) connections: u64,
    /// Unanswered calls at any time, where that is fixed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) in_flight: Option<u64>,
    /// Commands per second, where that is fixed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rate_per_second: Option<u64>,
    /// Over how many accounts it was spread.
    pub(crate) accounts: u64,
}

/// Calls of one kind.
#[derive(Debug, Serialize)]
struct Series {
    name: &'static str,
    answered: u64,
    failed: u64,
    failures: BTreeMap<String, u64>,
    seconds: f64,
    per_second: u64,
    p50_ms: f64,
    p90_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

#[derive(Debug, Serialize)]
struct Ratio {
    name: &'static str,
    value: f64,
}

impl Report {
    /// Nothing measured yet.
    pub(crate) fn new(setting: Setting) -> Self {
        Self { setting, series: Vec::new(), ratio: None, stale: None, late: None }
    }

    /// Adds calls of one kind.
    pub(crate) fn series(&mut self, name: &'static str, measured: &Measured) {
        let seconds = measured.elapsed().as_secs_f64();
        self.series.push(Series {
            name,
            answered: measured.count(),
            failed: measured.failures().values().sum(),
            failures: measured.failures().clone(),
            seconds: rounded_to_millis(measured.elapsed()),
            per_second: per_second(measured.count(), seconds),
            p50_ms: measured.percentile_ms(50.0),
            p90_ms: measured.percentile_ms(90.0),
            p99_ms: measured.percentile_ms(99.0),
            max_ms: measured.percentile_ms(100.0),
        });
    }

    /// Adds the ratio of the throughput of two kinds, by their places.
    pub(crate) fn ratio(&mut self, name: &'static str, part: usize, whole: usize) {
        if let (Some(part), Some(whole)) = (self.series.get(part), self.series.get(whole)) {
            self.ratio = Some(Ratio { name, value: part.rate() / whole.rate() });
        }
    }

    /// Adds how many answers were older than their token.
    pub(crate) fn stale(&mut self, count: u64) {
        self.stale = Some(count);
    }

    /// Adds how many commands were not sent in time.
    pub(crate) fn late(&mut self, count: u64) {
        self.late = Some(count);
    }

    /// Whether no call failed and no answer was older than its token.
    pub(crate) fn is_clean(&self) -> bool {
        self.stale.unwrap_or_default() == 0 && self.series.iter().all(|series| series.failed == 0)
    }

    /// The report for people.
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::default();
        table.note(self.setting.line());
        table.row(["", "count", "per second", "p50 ms", "p90 ms", "p99 ms", "max ms", "failed"]);
        for series in &self.series {
            let ms = |value: f64| format!("{value:.2}");
            table.row([
                series.name.to_owned(),
                grouped(series.answered),
                grouped(series.per_second),
                ms(series.p50_ms),
                ms(series.p90_ms),
                ms(series.p99_ms),
                ms(series.max_ms),
                grouped(series.failed),
            ]);
        }
        for series in &self.series {
            for (reason, count) in &series.failures {
                table.note(format!("{}: {} failed with {reason}", series.name, grouped(*count)));
            }
        }
        if let Some(stale) = self.stale {
            table.note(format!("answers older than their token: {}", grouped(stale)));
        }
        if let Some(late) = self.late {
            table.note(format!("commands not sent in time: {}", grouped(late)));
        }
        if let Some(ratio) = &self.ratio {
            table.note(format!("{}: {:.2}", ratio.name, ratio.value));
        }
        table
    }
}

impl Series {
    fn rate(&self) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
        let answered = self.answered as f64;
        answered / self.seconds.max(f64::EPSILON)
    }
}

impl Setting {
    fn line(&self) -> String {
        let mut line =
            format!("{}, {}, {} connection(s), {} account(s)", self.what, self.mode, self.connections, self.accounts);
        if let Some(in_flight) = self.in_flight {
            line += &format!(", {in_flight} in flight");
        }
        if let Some(rate) = self.rate_per_second {
            line += &format!(", {rate}/s asked for");
        }
        line
    }
}
