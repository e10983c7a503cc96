//! The query path: rows from cache and read database, never older than the caller asks.
//!
//! - **G6 own writes.** An answer holds everything up to the caller's token, or the caller is told that it cannot be had in time. A row says
//!   itself how far it is right: up to its own position, and up to `as_of`, the view's progress in the row's partition as it was read
//!   *before* the row was. Where neither reaches the token, the reader waits for the progress of that partition and reads again.
//! - **G7 forward only.** Once a row of some position has been answered from the read database, the cache neither keeps nor takes an older one:
//!   a fill needs a lease that was taken before the row was read, a refused fill means that the row is read again, and what was found too
//!   old in the cache is forgotten before the newer row is answered. Where the cache itself fails this holds by token only.
//! - **What is parked is said.** Progress passes a parked stream by, so whether a stream is parked and how far the view has got are always
//!   taken from the same picture of progress, see [`Reader`].
//! - **Every wait is bounded**: by the caller's deadline, in number, and in what one try at a store may take. Nothing polls on behalf of a
//!   request: two tasks follow progress, as it is saved and as projectors tell it through the cache, and wake those that wait for the partition
//!   that moved.
//!
//! The layers, from the outside: [`Reader`] checks freshness and waits; below it the rows with the cache as a decorator over the read
//! database, one read at a time for each key; beside both the board, the picture of progress that those tasks keep.

mod answer;
mod board;
mod cached;
mod config;
mod error;
mod flights;
mod freshness;
mod metrics;
mod outage;
mod reader;
mod store;
mod trace;
mod wait;

pub use answer::{Answer, Page, ReadAt};
pub use config::QueryConfig;
pub use error::QueryError;
pub use reader::Reader;
