//! How far each view has got.

use std::{future::Future, time::Duration};

use super::{Offset, PortResult};
use crate::{
    domain::ViewId,
    vocabulary::{Partition, Position, StreamId, Timestamp, Version},
};

/// How far a view has got in a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Every event of the partition up to here is in the rows, except those of parked streams.
    pub position: Position,
    /// The write database's time as of which that is everything there was.
    pub as_of: Timestamp,
    /// Where reading the log goes on.
    pub next_offset: Offset,
    /// Streams of which an event could not be projected: their rows stand still.
    pub parked: Vec<Parked>,
}

/// A stream that stands still in a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// The stream.
    pub stream_id: StreamId,
    /// The first event that is not in the rows.
    pub version: Version,
    /// Why.
    pub reason: String,
}

/// How far one view has got in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgressUpdate {
    /// The view.
    pub view: ViewId,
    /// The partition.
    pub partition: Partition,
    /// How far.
    pub progress: Progress,
}

/// How far each view has got, in the read database beside its rows.
///
/// - Saved only after the rows are durable: it never promises what is not there.
/// - The position never goes back: saving an older one changes nothing and is no error. A save with the same or a larger position replaces what
///   is there as a whole, so what is loaded is always what somebody saved. Time and offset go back only with a writer that knew less, and
///   promise less than is true then.
pub trait ProgressStore: Send + Sync + 'static {
    /// Stores progress, and returns when it is durable.
    fn save(&self, updates: &[ProgressUpdate]) -> impl Future<Output = PortResult<()>> + Send;

    /// All progress of these views. What was never saved is left out.
    fn load(&self, views: &[ViewId]) -> impl Future<Output = PortResult<Vec<ProgressUpdate>>> + Send;

    /// Returns when progress may have been saved since `load` was last called by this reader, or after `patience` at the latest. `seen` is the
    /// reader's own, 0 at first; it is brought up to date. May return for no reason; must not sleep through a save of this handle.
    fn wait_for_change(&self, seen: &mut u64, wait_max: Duration) -> impl Future<Output = ()> + Send;
}
