//! The report and its formats.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
};

use serde::Serialize;

use super::{
    args::{ReportFormat, ReportParameters},
    environment::Environment,
    figure::Figure,
    findings::{FailedCalls, Findings},
};
use crate::client::{
    Output,
    table::{Table, grouped},
};

/// The figures, and where and how they were measured.
#[derive(Debug, Serialize)]
pub(super) struct BenchReport {
    benchmark: &'static str,
    #[serde(flatten)]
    environment: Environment,
    parameters: ReportParameters,
    figures: Vec<Figure>,
    /// Answers that did not include the command of their token.
    stale_answers: u64,
    failed_calls: Vec<FailedCalls>,
}

impl BenchReport {
    /// Creates the report of these findings.
    pub(super) fn new(environment: Environment, parameters: ReportParameters, findings: Findings) -> Self {
        let Findings { figures, stale_count, failed_calls } = findings;
        Self { benchmark: "report", environment, parameters, figures, stale_answers: stale_count, failed_calls }
    }

    /// Returns whether no call failed and no answer was stale.
    pub(super) fn is_clean(&self) -> bool {
        self.stale_answers == 0 && self.failed_calls.is_empty()
    }

    /// Prints the report on standard output.
    ///
    /// # Errors
    /// When standard output cannot be written to.
    pub(super) fn print(&self, format: ReportFormat) -> anyhow::Result<()> {
        match format {
            ReportFormat::Text => Output::Text.print(self, Self::table),
            ReportFormat::Json => Output::Json.print(self, Self::table),
            ReportFormat::Markdown => {
                let mut out = io::stdout().lock();
                write!(out, "{}", self.markdown())?;
                Ok(out.flush()?)
            }
        }
    }

    /// The report as a table for people, with a sentence for each figure.
    pub(super) fn table(&self) -> Table {
        let mut table = Table::default();
        table.note(self.environment.line()).note(self.parameters.line()).note("");
        table.row(["figure", "measured", "ratio", "compared with"]);
        for figure in &self.figures {
            table.row([
                figure.name.clone(),
                figure.measured.to_string(),
                figure.ratio_text(),
                figure.comparison_text(),
            ]);
        }
        table.note("");
        for figure in &self.figures {
            table.note(format!("{}: {}", figure.name, figure.counts));
        }
        for problem in self.problems() {
            table.note(problem);
        }
        table
    }

    /// The report as a line and a table of Markdown.
    pub(super) fn markdown(&self) -> String {
        let mut text = format!("`diptych bench report`, {}; {}.\n\n", self.environment.line(), self.parameters.line());
        text += "| figure | measured | compared with | ratio | what it counts |\n|---|---|---|---|---|\n";
        for figure in &self.figures {
            let Figure { name, measured, counts, .. } = figure;
            let _ = writeln!(
                text,
                "| {name} | {measured} | {} | {} | {counts} |",
                figure.comparison_text(),
                figure.ratio_text()
            );
        }
        for problem in self.problems() {
            let _ = write!(text, "\n{problem}\n");
        }
        text
    }

    /// Failed calls and stale answers, one sentence each.
    fn problems(&self) -> impl Iterator<Item = String> {
        let failed = self
            .failed_calls
            .iter()
            .map(|FailedCalls { calls, reason, count }| format!("{calls}: {} failed with {reason}", grouped(*count)));
        let stale = (self.stale_answers > 0)
            .then(|| format!("stale answers (without the command of their token): {}", grouped(self.stale_answers)));
        failed.chain(stale)
    }
}

impl ReportParameters {
    /// All parameters in one line.
    fn line(&self) -> String {
        format!(
            "{} s for each measurement, {} accounts, connections: {}, in flight: {} unary calls, {} commands by stream",
            self.seconds,
            grouped(self.accounts),
            self.connections,
            grouped(self.in_flight),
            grouped(self.stream_in_flight)
        )
    }
}
