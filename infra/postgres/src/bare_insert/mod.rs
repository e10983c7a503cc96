//! A bare batched INSERT: the limit that benchmarks of the write path compare with.
//!
//! Inserts rows like those of the newest commands, in batches of the same size, into tables of its own with the columns
//! and indexes of `events` and `requests`. It checks no versions and no request ids.

mod answer;
mod inserter;
mod tables;

pub use inserter::BareInserter;
pub use tables::BareInsertTables;
