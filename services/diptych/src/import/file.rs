//! Reading the file, packed or not, line by line.

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

/// What the lines of a file are read from.
pub(crate) type Lines = csv::Reader<Box<dyn Read + Send>>;

/// Opens a file. Whether it is packed is told by its first bytes, not by its name.
///
/// # Errors
/// When it cannot be opened or read.
pub(crate) fn open(path: &Path) -> anyhow::Result<Lines> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, file);
    let start = reader.fill_buf().with_context(|| format!("cannot read {}", path.display()))?;
    if start.starts_with(&GZIP_MAGIC) {
        Ok(lines(Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(reader)))))
    } else {
        Ok(lines(Box::new(reader)))
    }
}

/// Reads lines from anything. The header is a line like any other, so that it can be judged.
pub(crate) fn lines(read: Box<dyn Read + Send>) -> Lines {
    csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(read)
}

/// What came of reading a line.
#[derive(Debug)]
pub(crate) enum ReadLine {
    /// The line is in the record.
    Record {
        /// From 1.
        line: u64,
    },
    /// The line is not text.
    NotText {
        /// From 1.
        line: u64,
    },
    /// There are no more.
    End,
}

/// Reads the next line into `record`.
///
/// # Errors
/// When the file cannot be read on: a disk error, or a packed file that is cut off.
pub(crate) fn read_line(lines: &mut Lines, record: &mut StringRecord) -> io::Result<ReadLine> {
    let start = lines.position().line();
    match lines.read_record(record) {
        Ok(true) => Ok(ReadLine::Record { line: record.position().map_or(start, csv::Position::line) }),
        Ok(false) => Ok(ReadLine::End),
        Err(error) => match error.into_kind() {
            csv::ErrorKind::Io(error) => Err(error),
            csv::ErrorKind::Utf8 { pos, .. } => {
                Ok(ReadLine::NotText { line: pos.map_or(start, |position| position.line()) })
            }
            other => Err(io::Error::other(format!("{other:?}"))),
        },
    }
}
