//! Printed results: a table for people, JSON for programs.

use std::{
    io::{self, Write},
    time::Duration,
};

use serde::Serialize;

/// The form of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// A table for people.
    Text,
    /// One JSON object on standard output.
    Json,
}

impl Output {
    /// Prints the result in this form on standard output.
    ///
    /// # Errors
    /// When standard output cannot be written to.
    pub(crate) fn print<R: Serialize>(self, result: &R, table: impl FnOnce(&R) -> Table) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        match self {
            Self::Text => write!(out, "{}", table(result).render())?,
            Self::Json => {
                serde_json::to_writer_pretty(&mut out, result)?;
                writeln!(out)?;
            }
        }
        out.flush()?;
        Ok(())
    }
}

/// A text table. The first column is left-aligned, for names; the others are right-aligned.
#[derive(Debug, Default)]
pub(crate) struct Table {
    lines: Vec<Line>,
}

#[derive(Debug)]
enum Line {
    Cells(Vec<String>),
    Note(String),
}

impl Table {
    /// Adds a line of cells.
    pub(crate) fn row<I: IntoIterator<Item: Into<String>>>(&mut self, cells: I) -> &mut Self {
        self.lines.push(Line::Cells(cells.into_iter().map(Into::into).collect()));
        self
    }

    /// Adds a line of text that does not widen the columns.
    pub(crate) fn note(&mut self, text: impl Into<String>) -> &mut Self {
        self.lines.push(Line::Note(text.into()));
        self
    }

    /// Returns all lines, with columns aligned.
    pub(crate) fn render(&self) -> String {
        let mut widths: Vec<usize> = Vec::new();
        for line in &self.lines {
            let Line::Cells(cells) = line else { continue };
            widths.resize(widths.len().max(cells.len()), 0);
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        for line in &self.lines {
            match line {
                Line::Note(note) => text.push_str(note),
                Line::Cells(cells) => text.push_str(&aligned(cells, &widths)),
            }
            text.push('\n');
        }
        text
    }
}

fn aligned(cells: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (index, (cell, width)) in cells.iter().zip(widths).enumerate() {
        match index {
            0 => line.push_str(&format!("{cell:<width$}")),
            _ => line.push_str(&format!("  {cell:>width$}")),
        }
    }
    line.trim_end().to_owned()
}

/// Returns a number with separators: 1234567 as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a rate per second, rounded to a whole number.
pub(crate) fn per_second(count: u64, seconds: f64) -> u64 {
    if seconds <= 0.0 {
        return 0;
    }
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts are below 2^53, the quotient is not negative, and `as` saturates"
    )]
    let rate = (count as f64 / seconds).round() as u64;
    rate
}

/// Returns seconds, rounded to milliseconds.
pub(crate) fn rounded_to_millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::default();
        table.row(["rows", "7"]).row(["accepted", "1,234"]).note("a note that is wider than all of it");
        assert_eq!(table.render(), "rows          7\naccepted  1,234\na note that is wider than all of it\n");
    }

    #[test]
    fn numbers_are_grouped_by_three() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (123_456, "123,456"), (1_234_567, "1,234,567")]
        {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn rates_are_rounded() {
        assert_eq!((per_second(10, 4.0), per_second(10, 0.0), per_second(0, 1.0)), (3, 0, 0));
        assert_eq!(rounded_to_millis(Duration::from_micros(1_234_567)).to_string(), "1.235");
    }
}
