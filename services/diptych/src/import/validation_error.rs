//! Errors of a file that is not valid.

use std::fmt;

/// Most errors shown; further ones are only counted.
pub(crate) const SHOWN_MAX: usize = 20;
/// Most characters of a value shown.
const VALUE_CHARS_MAX: usize = 40;

/// A value that cannot be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ValidationError {
    /// Line of the file; the header is line 1.
    pub(crate) line: u64,
    /// Column; "header" or "row" when the whole line is invalid.
    pub(crate) column: &'static str,
    /// The invalid value, shortened.
    pub(crate) value: String,
    /// Description of a valid value.
    pub(crate) expected: String,
}

impl fmt::Display for ValidationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, {}: {:?} is invalid; expected: {}", self.line, self.column, self.value, self.expected)
    }
}

/// All errors of a file.
#[derive(Debug, Default)]
pub(crate) struct ValidationErrors {
    /// The first [`SHOWN_MAX`].
    pub(crate) first: Vec<ValidationError>,
    /// The number of errors.
    pub(crate) count: u64,
}

impl ValidationErrors {
    /// Adds an error.
    pub(crate) fn add(&mut self, line: u64, column: &'static str, value: &str, expected: impl Into<String>) {
        self.count += 1;
        if self.first.len() == SHOWN_MAX {
            return;
        }
        let mut shown: String = value.chars().take(VALUE_CHARS_MAX).collect();
        if shown.len() < value.len() {
            shown.push('…');
        }
        self.first.push(ValidationError { line, column, value: shown, expected: expected.into() });
    }
}

impl fmt::Display for ValidationErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for error in &self.first {
            writeln!(f, "{error}")?;
        }
        let shown = self.first.len();
        match self.count {
            1 => write!(f, "1 error; nothing was sent"),
            count if count > shown as u64 => {
                write!(f, "{count} errors, of which the first {shown} are shown; nothing was sent")
            }
            count => write!(f, "{count} errors; nothing was sent"),
        }
    }
}
