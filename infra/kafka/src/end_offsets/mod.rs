//! End offset and last event of every partition.
//!
//! The offsets of all partitions come with two requests to each leader. The last event of each is found by reading
//! backwards from the end, past watermarks. A watermark carries what its appender knew about the records before it
//! ([`TailSummary`](crate::record::TailSummary)), so that reading one record is enough, however long the partition has
//! been idle.

mod end_reader;
mod last_event_search;
mod tail_summaries;

pub(crate) use end_reader::read_ends;
pub(crate) use tail_summaries::TailSummaries;
