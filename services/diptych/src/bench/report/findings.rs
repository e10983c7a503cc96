//! Findings of a report.

use serde::Serialize;

use super::figure::Figure;
use crate::bench::measurement::Measurement;

/// Figures, failed calls and stale answers.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) figures: Vec<Figure>,
    /// Answers that did not include the command of their token.
    pub(super) stale_count: u64,
    pub(super) failed_calls: Vec<FailedCalls>,
}

/// Failed calls of one kind with one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct FailedCalls {
    pub(super) calls: &'static str,
    pub(super) reason: String,
    pub(super) count: u64,
}

impl Findings {
    /// Adds a figure.
    pub(super) fn add(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    /// Adds the failed calls of a measurement.
    pub(super) fn add_failures(&mut self, calls: &'static str, measurement: &Measurement) {
        let failures = measurement.failures().iter();
        self.failed_calls.extend(failures.map(|(reason, count)| FailedCalls {
            calls,
            reason: reason.clone(),
            count: *count,
        }));
    }
}
