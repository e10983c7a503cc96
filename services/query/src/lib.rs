//! Query path: reads rows from the cache and the read database, never older than the caller's token.
//!
//! - **G6, read your writes.** An answer contains everything up to the caller's token, or the call fails with
//!   [`QueryError::Behind`]. Each row states up to which position it is current: the view's progress in the row's
//!   partition as read *before* the row was, or its own position if that is larger. Where that does not reach the
//!   token, the reader waits for the progress of the partition and reads again.
//! - **G7, monotonic reads.** Once a row at some position has been answered from the read database, the cache neither
//!   keeps nor accepts an older one: a fill needs a lease taken before the row was read, a refused fill makes the
//!   reader read the row again, and a cached row that is too old is invalidated before the newer row is answered. While
//!   the cache itself fails, this holds for calls with a token only.
//! - **Parked streams are reported.** Progress passes parked streams, so the list of parked streams and the position of
//!   the view are always taken from the same progress snapshot; see [`Reader`].
//! - **Every wait is bounded**: in time by the caller's deadline, in number by a limit, and per attempt by a timeout.
//!   No request polls: two tasks track progress, one as it is saved and one as projectors announce it through the
//!   cache, and wake the calls that wait for the partition that advanced.
//!
//! Before its first answer a query service waits until its tables are filled (`filled.rs`), and while it runs it is
//! registered as a reader of them (`registration.rs`): so versions of the program that read other generations of views
//! can replace each other.
//!
//! The layers, from the outside in:
//!
//! | layer | file |
//! |---|---|
//! | public API | `reader/mod.rs` |
//! | queries by key and by group: check freshness, wait, read | `reader/row_query.rs`, `reader/scan_query.rs` |
//! | freshness rules of a single row | `freshness.rs` |
//! | bounded waits for progress | `progress_wait.rs` |
//! | progress of all views, kept by two tasks | `progress_tracker/` |
//! | the cache as a decorator over the read database | `cached_rows.rs` |
//! | one read at a time for each key | `single_flight.rs` |
//! | the read database with timeouts, retries and a concurrency limit | `retrying_store.rs` |

mod answer;
mod cached_rows;
mod config;
mod error;
mod filled;
mod freshness;
mod metrics;
mod outage_log;
mod progress_tracker;
mod progress_wait;
mod reader;
mod registration;
mod retrying_store;
mod single_flight;
mod trace;

pub use answer::{Answer, Page, ReadAt};
pub use config::QueryConfig;
pub use error::QueryError;
pub use filled::wait_until_filled;
pub use reader::Reader;
pub use registration::register_reader;
