//! The ends of partitions.
//!
//! The offsets of all partitions come with two requests to each leader. The last event of each is found by reading backwards from the end,
//! past watermarks; what a watermark knows of the records before it ([`Tail`](crate::record::Tail)) makes that one record, however long
//! the partition has been idle.

mod reader;
mod search;
mod tails;

pub(crate) use reader::{garbled, place, read_ends};
pub(crate) use tails::Tails;
