//! Encoding and decoding of records; the format is described in the documentation of the crate.

mod decode;
mod encode;
mod header;
mod record_history;
mod tail_summary;
mod time;

pub(crate) use decode::{Decoded, RecordSummary, decode, partition_and_offset, summarize};
pub(crate) use encode::{check_time, encode, encoded_bytes_max};
pub use header::WATERMARK_TYPE;
pub(crate) use tail_summary::TailSummary;
