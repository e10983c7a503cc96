//! The result of a benchmark that measures one thing.

use std::collections::BTreeMap;

use serde::Serialize;

use super::measurement::Measurement;
use crate::client::table::{Table, grouped, per_second, rounded_to_millis};

/// The result of a benchmark: measurements of one or more kinds of calls.
#[derive(Debug, Serialize)]
pub(crate) struct BenchmarkResult {
    #[serde(flatten)]
    parameters: Parameters,
    series: Vec<Series>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio: Option<Ratio>,
    /// Answers that did not include the command of their token.
    #[serde(skip_serializing_if = "Option::is_none")]
    stale_answers: Option<u64>,
    /// Commands that were due and not sent, as too many were in flight.
    #[serde(skip_serializing_if = "Option::is_none")]
    commands_dropped: Option<u64>,
}

/// The parameters of a benchmark.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Parameters {
    /// The name of the subcommand.
    pub(crate) benchmark: &'static str,
    /// `unary` or `stream`.
    pub(crate) mode: &'static str,
    /// Connections.
    pub(crate) connections: u64,
    /// Calls in flight, if their number is fixed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) in_flight: Option<u64>,
    /// Commands per second, if their rate is limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rate_per_second: Option<u64>,
    /// Accounts that the calls are spread over.
    pub(crate) accounts: u64,
}

/// The measurement of calls of one kind.
#[derive(Debug, Serialize)]
struct Series {
    name: &'static str,
    succeeded: u64,
    failed: u64,
    failures: BTreeMap<String, u64>,
    elapsed_seconds: f64,
    succeeded_per_second: u64,
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

impl BenchmarkResult {
    /// Creates a result without measurements.
    pub(crate) fn new(parameters: Parameters) -> Self {
        Self { parameters, series: Vec::new(), ratio: None, stale_answers: None, commands_dropped: None }
    }

    /// Adds the measurement of calls of one kind.
    pub(crate) fn add_series(&mut self, name: &'static str, measurement: &Measurement) {
        self.series.push(Series {
            name,
            succeeded: measurement.success_count(),
            failed: measurement.failure_count(),
            failures: measurement.failures().clone(),
            elapsed_seconds: rounded_to_millis(measurement.elapsed()),
            succeeded_per_second: per_second(measurement.success_count(), measurement.elapsed().as_secs_f64()),
            p50_ms: measurement.percentile_ms(50.0),
            p90_ms: measurement.percentile_ms(90.0),
            p99_ms: measurement.percentile_ms(99.0),
            max_ms: measurement.percentile_ms(100.0),
        });
    }

    /// Sets the ratio of the rates of two measurements.
    pub(crate) fn set_ratio(&mut self, name: &'static str, numerator: &Measurement, denominator: &Measurement) {
        self.ratio = Some(Ratio { name, value: numerator.success_rate() / denominator.success_rate() });
    }

    /// Sets the number of answers that did not include the command of their token.
    pub(crate) fn set_stale_answers(&mut self, count: u64) {
        self.stale_answers = Some(count);
    }

    /// Sets the number of commands that were due and not sent.
    pub(crate) fn set_commands_dropped(&mut self, count: u64) {
        self.commands_dropped = Some(count);
    }

    /// Returns whether no call failed and no answer was stale.
    pub(crate) fn is_clean(&self) -> bool {
        self.stale_answers.unwrap_or_default() == 0 && self.series.iter().all(|series| series.failed == 0)
    }

    /// The result as a table for people.
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::default();
        table.note(self.parameters.line());
        table.row(["", "succeeded", "per second", "p50 ms", "p90 ms", "p99 ms", "max ms", "failed"]);
        for series in &self.series {
            let ms = |value: f64| format!("{value:.2}");
            table.row([
                series.name.to_owned(),
                grouped(series.succeeded),
                grouped(series.succeeded_per_second),
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
        if let Some(count) = self.stale_answers {
            table.note(format!("stale answers (without the command of their token): {}", grouped(count)));
        }
        if let Some(count) = self.commands_dropped {
            table.note(format!("commands dropped (due while too many were in flight): {}", grouped(count)));
        }
        if let Some(ratio) = &self.ratio {
            table.note(format!("{}: {:.2}", ratio.name, ratio.value));
        }
        table
    }
}

impl Parameters {
    fn line(&self) -> String {
        let mut line = format!(
            "{}, {}, {} connection(s), {} account(s)",
            self.benchmark, self.mode, self.connections, self.accounts
        );
        if let Some(in_flight) = self.in_flight {
            line += &format!(", {in_flight} in flight");
        }
        if let Some(rate) = self.rate_per_second {
            line += &format!(", at most {rate}/s");
        }
        line
    }
}
