//! Ports: traits for the external systems that the services use. Each trait documents its contract, and the suite of
//! the same name in `testing` checks the contract against every adapter.

mod command_queue;
mod error;
mod event_log;
mod event_store;
mod progress;
mod relay_state;
mod stored_checksums;
mod view_cache;
mod view_store;

pub use command_queue::{CommandQueue, CommandQueueState, QueueEnds, QueueLease, QueueRecord, QueuedCommand};
pub use error::{Effect, PortError, PortResult, Remedy};
pub use event_log::{
    Assignment, CommitOutcome, Consumer, EventLog, LogEntry, LogRecord, LogSignal, Offset, PartitionEnd, RevokeGuard,
    Watermark,
};
pub use event_store::{
    APPEND_BYTES_MAX, AppendOutcome, AppendUnit, Conflict, EVENT_BYTES_MAX, EventPage, EventStore, HeldBackEvent,
    Loaded, REFUSAL_BYTES_MAX, RefusalOutcome, RefusalUnit, Snapshot, StoredOutcome, StoredRequest, StreamLoad,
    StreamSlice, Turn,
};
pub use progress::{Parked, Progress, ProgressStore, ProgressUpdate, TablePosition, TableReader};
pub use relay_state::{CursorOutcome, Fence, LeaseOutcome, RelayCursor, RelayState};
pub use stored_checksums::{ChecksumPage, Damage, StoredChecksums};
pub use view_cache::{CacheRead, CachedRow, FillLease, ViewCache};
pub use view_store::{Row, RowWrite, ScanPage, ViewStore};
