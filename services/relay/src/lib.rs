//! The relay: brings committed events onto the log, in order, at least once.
//!
//! ```text
//!              lease held                  log and cursor compared
//!   Standby ---------------> Resuming -------------------------------> Reading <-------------+
//!      ^                                                              |       |              |
//!      |                                                       events |       | nothing      |
//!      |                                                              v       v              |
//!      |                                          +-------> Publishing       Idle -----------+
//!      |                                          |           |   ^           ^   woken, or a watermark is due
//!      |                           read meanwhile +-----------+   | in doubt  |
//!      |                                                      |   v           |
//!      |                                        cursor is due +-> MovingCursor
//!      |                                                              |
//!      +--------------------------------------------------------------+ fenced
//! ```
//!
//! What holds in every state (G4, G5):
//!
//! - Before any record of a partition on the log stand all events of that partition with a smaller position. So the last record of a partition
//!   says all about what is there, and a new leader resumes from it.
//! - The position read up to and the position published up to are two fields. The cursor is stored from the second one only, and that
//!   moves over acknowledged records only.
//! - Appending again is always allowed. Two leaders that overlap for a moment repeat events and watermarks; they never leave one out.

mod config;
mod edge;
mod error;
mod metrics;
mod publish;
mod quiet;
mod relay;
mod resume;
mod trace;

pub use config::RelayConfig;
pub use error::RelayError;
pub use relay::run;
