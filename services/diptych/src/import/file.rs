//! Records of a CSV file, plain or compressed with gzip.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use anyhow::Context;
use csv::StringRecord;
use flate2::bufread::MultiGzDecoder;

const BUFFER_BYTES: usize = 1 << 16;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// A reader of the records of a file.
pub(crate) type CsvReader = csv::Reader<Box<dyn Read + Send>>;

/// Opens a file. Compression is detected by the first bytes, not by the name.
///
/// # Errors
/// When the file cannot be opened or read.
pub(crate) fn open(path: &Path) -> anyhow::Result<CsvReader> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, file);
    let start = reader.fill_buf().with_context(|| format!("cannot read {}", path.display()))?;
    if start.starts_with(&GZIP_MAGIC) {
        Ok(csv_reader(Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(reader)))))
    } else {
        Ok(csv_reader(Box::new(reader)))
    }
}

/// Reads records from bytes. The header is returned as the first record, so that it can be validated.
pub(crate) fn csv_reader(bytes: Box<dyn Read + Send>) -> CsvReader {
    csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes)
}

/// Result of reading the next record.
#[derive(Debug)]
pub(crate) enum NextRecord {
    /// The record was read.
    Read {
        /// Line where it starts, from 1.
        line: u64,
    },
    /// The record is not UTF-8.
    InvalidUtf8 {
        /// Line where it starts, from 1.
        line: u64,
    },
    /// The file has no more records.
    End,
}

/// Reads the next record into `record`.
///
/// # Errors
/// When the file cannot be read: an I/O error, or a truncated gzip file.
pub(crate) fn read_record(reader: &mut CsvReader, record: &mut StringRecord) -> io::Result<NextRecord> {
    let start = reader.position().line();
    match reader.read_record(record) {
        Ok(true) => Ok(NextRecord::Read { line: record.position().map_or(start, csv::Position::line) }),
        Ok(false) => Ok(NextRecord::End),
        Err(error) => match error.into_kind() {
            csv::ErrorKind::Io(error) => Err(error),
            csv::ErrorKind::Utf8 { pos, .. } => {
                Ok(NextRecord::InvalidUtf8 { line: pos.map_or(start, |position| position.line()) })
            }
            other => Err(io::Error::other(format!("{other:?}"))),
        },
    }
}
