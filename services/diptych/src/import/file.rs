//! Records of a CSV file, plain or compressed with gzip.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use anyhow::Context;
use csv::StringRecord;
use flate2::bufread::MultiGzDecoder;

const BUFFER_BYTES: usize = 1 << 16;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Path that stands for standard input.
const STDIN: &str = "-";

/// A reader of the records of a file.
pub(crate) type CsvReader = csv::Reader<Box<dyn Read + Send>>;

/// Copy of the input in a temporary file without a name, which the operating system deletes when it is closed.
///
/// The input is read once, as it may be a pipe. Memory is bounded by the copy being on disk, and what is sent is what
/// was validated, even if another process changes the file meanwhile.
#[derive(Debug)]
pub(crate) struct InputCopy(File);

impl InputCopy {
    /// Reads a file to its end; "-" is standard input.
    ///
    /// # Errors
    /// When the file cannot be opened or read, or the temporary folder has no space.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let mut input: Box<dyn Read> = if path == Path::new(STDIN) {
            Box::new(io::stdin().lock())
        } else {
            Box::new(File::open(path).with_context(|| format!("cannot open {}", path.display()))?)
        };
        let folder = std::env::temp_dir();
        let mut copy = tempfile::tempfile().with_context(|| {
            format!("cannot create a temporary file in {}: set TMPDIR to another folder", folder.display())
        })?;
        io::copy(&mut input, &mut copy).with_context(|| {
            format!("cannot copy {} to a temporary file in {} (TMPDIR)", path.display(), folder.display())
        })?;
        Ok(Self(copy))
    }

    /// Returns a reader from the beginning. An earlier reader must not be used any more. Compression is detected by the
    /// first bytes, not by the name.
    ///
    /// # Errors
    /// When the copy cannot be read.
    pub(crate) fn reader(&self) -> io::Result<CsvReader> {
        let mut file = self.0.try_clone()?;
        file.seek(SeekFrom::Start(0))?;
        let mut reader = BufReader::with_capacity(BUFFER_BYTES, file);
        if reader.fill_buf()?.starts_with(&GZIP_MAGIC) {
            Ok(csv_reader(Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(reader)))))
        } else {
            Ok(csv_reader(Box::new(reader)))
        }
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
