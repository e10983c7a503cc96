//! Reads the last lines of a log.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

/// Maximum number of lines in a message.
const LINES: usize = 20;
/// Maximum number of bytes read from the end.
const BYTES: u64 = 16 * 1024;

/// Returns the last lines written after the first `offset` bytes. Empty if the log cannot be read.
pub(super) fn tail(log: &Path, offset: u64) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(offset.max(length.saturating_sub(BYTES))))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let text = String::from_utf8_lossy(&read().unwrap_or_default()).into_owned();
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_lines_since_the_start() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lines: String = (0..100).map(|number| format!("line {number}\n\n")).collect();
        std::fs::write(file.path(), &lines).unwrap();
        let all = tail(file.path(), 0);
        assert_eq!(all.lines().count(), LINES);
        assert!(all.ends_with("line 99") && all.starts_with("line 80"));
        let last = tail(file.path(), u64::try_from(lines.len()).unwrap() - 9);
        assert_eq!(last, "line 99");
        assert_eq!(tail(Path::new("/no/log"), 0), "");
    }
}
