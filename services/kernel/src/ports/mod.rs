//! The ports: what the services need of the systems around them. Every contract stands on its trait, and a suite in `testing` checks
//! it against every adapter.

mod error;
mod event_log;
mod event_store;
mod progress;
mod relay_state;
mod view_cache;
mod view_store;

pub use error::{Effect, PortError, PortResult, Remedy};
pub use event_log::{
    Assignment, Consumer, EventLog, LogEntry, LogRecord, LogSignal, Offset, OffsetCommit, PartitionEnd, RevokeGuard,
    Watermark,
};
pub use event_store::{
    AppendOutcome, AppendUnit, Conflict, EventStore, Loaded, Snapshot, StoredRequest, StreamLoad, StreamSlice, Tail,
};
pub use progress::{Parked, Progress, ProgressStore, ProgressUpdate};
pub use relay_state::{CursorOutcome, Fence, LeaseOutcome, RelayCursor, RelayState};
pub use view_cache::{CacheRead, CachedRow, Lease, ViewCache};
pub use view_store::{Row, RowWrite, ScanPage, ViewStore};
