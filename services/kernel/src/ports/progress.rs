//! Progress of each view in each partition.

use std::{future::Future, time::Duration};

use super::{Offset, PortResult};
use crate::{
    domain::ViewId,
    vocabulary::{Partition, Position, StreamId, Timestamp, Version},
};

/// Progress of a view in a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Every event of the partition up to this position is in the rows, except those of parked streams.
    pub position: Position,
    /// The write database's time at which `position` covered every event of the partition.
    pub as_of: Timestamp,
    /// The next offset to read from the log.
    pub next_offset: Offset,
    /// Streams with an event that could not be projected. Their rows are not updated.
    pub parked: Vec<Parked>,
}

/// Stream that a view has stopped updating, because one of its events could not be projected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// The stream.
    pub stream_id: StreamId,
    /// The version of the first event that is not in the rows.
    pub version: Version,
    /// The reason why that event could not be projected.
    pub reason: String,
}

/// Progress of one view in one partition, as saved and loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgressUpdate {
    /// The view.
    pub view: ViewId,
    /// The partition.
    pub partition: Partition,
    /// The view's progress in the partition.
    pub progress: Progress,
}

/// Position that a table of a view has reached in a partition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TablePosition {
    /// The name of the table, which may be of a view or generation that this program does not have.
    pub table: String,
    /// The partition.
    pub partition: Partition,
    /// The position of the table's progress.
    pub position: Position,
}

/// Query service that reads a table of a view.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableReader {
    /// The name of the table, which may be of a view or generation that this program does not have.
    pub table: String,
    /// The name of the process.
    pub instance: String,
}

/// Progress of views, stored in the read database beside the rows; and the query services that read them.
///
/// Contract:
///
/// - The caller saves progress only after the rows are durable, so that progress never promises rows that are missing.
/// - The position never goes back: saving an older position changes nothing and is not an error. Saving the same or a
///   larger position replaces the stored progress as a whole, so that a load always returns what one caller saved. Time
///   and offset can therefore go back when the new writer knew less; they then promise less than is true.
/// - Projectors of several versions of the program may save progress of the same view. What each of them saves is true
///   of the rows, as rows never go back, whoever wrote them.
/// - A reader is listed until it is removed, or until its time to live has passed since it was last added.
pub trait ProgressStore: Send + Sync + 'static {
    /// Saves progress, and returns when it is durable.
    fn save(&self, updates: &[ProgressUpdate]) -> impl Future<Output = PortResult<()>> + Send;

    /// Loads all progress of these views. A view and partition without saved progress is left out.
    fn load(&self, views: &[ViewId]) -> impl Future<Output = PortResult<Vec<ProgressUpdate>>> + Send;

    /// Loads the positions of all tables that have progress, those of other versions of the program included.
    fn table_positions(&self) -> impl Future<Output = PortResult<Vec<TablePosition>>> + Send;

    /// Adds a process as a reader of the tables of these views for `time_to_live`, at least a second, counted anew from
    /// each call.
    fn add_reader(
        &self,
        instance: &str,
        views: &[ViewId],
        time_to_live: Duration,
    ) -> impl Future<Output = PortResult<()>> + Send;

    /// Removes a process as a reader of the tables of these views. It need not be one.
    fn remove_reader(&self, instance: &str, views: &[ViewId]) -> impl Future<Output = PortResult<()>> + Send;

    /// Returns all readers, ordered by table and instance.
    fn readers(&self) -> impl Future<Output = PortResult<Vec<TableReader>>> + Send;

    /// Returns when progress may have been saved since this reader's last call of `load`, or after `wait_max` at the
    /// latest. Spurious returns are allowed. A save through this handle must end the wait.
    ///
    /// `seen` is the reader's own counter: 0 at first, and updated by each call.
    fn wait_for_change(&self, seen: &mut u64, wait_max: Duration) -> impl Future<Output = ()> + Send;
}
