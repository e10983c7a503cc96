//! Reader of the valid rows of a file, for both passes.

use csv::StringRecord;

use super::{
    file::{self, CsvReader, NextRecord},
    row::{Header, Row},
    validation_error::ValidationErrors,
};

/// Reads valid rows, skips invalid ones and collects their errors.
pub(crate) struct RowReader {
    reader: CsvReader,
    header: Option<Header>,
    record: StringRecord,
    /// An invalid row was skipped.
    pub(crate) has_skipped: bool,
    /// Errors of the rows read so far.
    pub(crate) errors: ValidationErrors,
}

impl RowReader {
    /// Reads from the header on.
    pub(crate) fn new(reader: CsvReader) -> Self {
        Self {
            reader,
            header: None,
            record: StringRecord::new(),
            has_skipped: false,
            errors: ValidationErrors::default(),
        }
    }

    /// Returns the next valid row with its line; `None` at the end, or after an invalid header.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn next_row(&mut self, account_prefix: &str) -> std::io::Result<Option<(u64, Row)>> {
        loop {
            let line = match file::read_record(&mut self.reader, &mut self.record)? {
                NextRecord::Read { line } => line,
                NextRecord::InvalidUtf8 { line } => {
                    self.has_skipped = true;
                    self.errors.add(line, "row", "bytes that are not UTF-8", "UTF-8");
                    continue;
                }
                NextRecord::End => return Ok(None),
            };
            let Some(header) = &self.header else {
                self.header = Header::parse(&self.record, line, &mut self.errors);
                if self.header.is_none() {
                    return Ok(None);
                }
                continue;
            };
            if let Some(row) = header.row(&self.record, line, account_prefix, &mut self.errors) {
                return Ok(Some((line, row)));
            }
            self.has_skipped = true;
        }
    }
}
