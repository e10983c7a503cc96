//! Formats numbers and tables, and quotes words for shells.

use std::{fmt::Write, time::Duration};

/// Formats a table; each column is as wide as its widest entry.
pub(super) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = head.map(str::len);
    for row in rows {
        for (width, entry) in widths.iter_mut().zip(row) {
            *width = (*width).max(entry.len());
        }
    }
    let mut text = String::new();
    for row in std::iter::once(&head.map(str::to_owned)).chain(rows) {
        let mut line = String::new();
        for (width, entry) in widths.iter().zip(row) {
            // Writing to a String cannot fail.
            let _ = write!(line, "{entry:<width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Formats a size in MB of 10^6 bytes, rounded up.
pub(super) fn memory(bytes: u64) -> String {
    format!("{} MB", bytes.div_ceil(1_000_000))
}

pub(super) fn uptime(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, _) => format!("{minutes} min {} s", seconds % 60),
        (..48, _) => format!("{hours} h {minutes} min"),
        _ => format!("{} days", hours / 24),
    }
}

/// Quotes a word for a shell.
pub(super) fn shell_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [["a".to_owned(), "long".to_owned()], ["bbb".to_owned(), String::new()]];
        assert_eq!(table(["X", "Y"], &rows), "X    Y\na    long\nbbb\n");
    }

    #[test]
    fn times_and_sizes_are_short() {
        let cases = [(0, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3_700, "1 h 1 min"), (200_000, "2 days")];
        for (seconds, expected) in cases {
            assert_eq!(uptime(Duration::from_secs(seconds)), expected);
        }
        assert_eq!(memory(0), "0 MB");
        assert_eq!(memory(1), "1 MB");
        assert_eq!(memory(64_000_001), "65 MB");
    }

    #[test]
    fn a_shell_takes_a_word_as_it_is() {
        for text in ["plain", "two words", "it's", "$HOME `x` \"y\" \\", ""] {
            let output =
                std::process::Command::new("sh").args(["-c", &format!("printf %s {}", shell_word(text))]).output();
            assert_eq!(String::from_utf8(output.unwrap().stdout).unwrap(), text);
        }
    }
}
