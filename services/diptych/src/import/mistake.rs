//! What is wrong with a file.

use std::fmt;

/// How many mistakes are shown.
pub(crate) const SHOWN_MAX: usize = 20;
/// How much of a value is shown.
const VALUE_CHARS_MAX: usize = 40;

/// A value that cannot be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// The line of the file, from 1: the header.
    pub(crate) line: u64,
    /// The column.
    pub(crate) column: &'static str,
    /// What stands there, shortened.
    pub(crate) value: String,
    /// What would be right.
    pub(crate) allowed: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, {}: {:?}; allowed: {}", self.line, self.column, self.value, self.allowed)
    }
}

/// All mistakes of a file: the first ones in full, the others as a number.
#[derive(Debug, Default)]
pub(crate) struct Mistakes {
    /// The first [`SHOWN_MAX`].
    pub(crate) first: Vec<Mistake>,
    /// How many there are.
    pub(crate) count: u64,
}

impl Mistakes {
    /// Adds one.
    pub(crate) fn add(&mut self, line: u64, column: &'static str, value: &str, allowed: impl Into<String>) {
        self.count += 1;
        if self.first.len() == SHOWN_MAX {
            return;
        }
        let mut shown: String = value.chars().take(VALUE_CHARS_MAX).collect();
        if shown.len() < value.len() {
            shown.push('…');
        }
        self.first.push(Mistake { line, column, value: shown, allowed: allowed.into() });
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mistake in &self.first {
            writeln!(f, "{mistake}")?;
        }
        let shown = self.first.len();
        match self.count {
            1 => write!(f, "1 mistake; nothing was sent"),
            count if count > shown as u64 => {
                write!(f, "{count} mistakes, of which the first {shown} are shown; nothing was sent")
            }
            count => write!(f, "{count} mistakes; nothing was sent"),
        }
    }
}
