//! State that all queries share, and the rule for parked streams.

use std::sync::Arc;

use diptych_kernel::{Partition, Position, StreamId, domain::ViewId};
use tracing::error;

use crate::{
    cached_rows::CachedRows,
    config::QueryConfig,
    error::QueryError,
    metrics::QueryMetrics,
    progress_tracker::{ProgressSnapshot, ProgressTracker},
    progress_wait::ProgressWaits,
};

/// Shared state of all clones of a reader.
pub(super) struct ReaderCore<V, C> {
    pub(super) rows: Arc<CachedRows<V, C>>,
    pub(super) tracker: ProgressTracker,
    pub(super) waits: ProgressWaits,
    pub(super) config: QueryConfig,
    pub(super) metrics: Arc<QueryMetrics>,
}

impl<V, C> ReaderCore<V, C> {
    /// Returns the view's index in the progress tracker, and the newest snapshot.
    pub(super) fn view(&self, view: ViewId) -> Result<(usize, Arc<ProgressSnapshot>), QueryError> {
        let Some(index) = self.tracker.index_of(view) else {
            error!(%view, "query for a view whose progress is not tracked");
            return Err(QueryError::Internal);
        };
        Ok((index, self.tracker.snapshot().ok_or(QueryError::Unavailable)?))
    }

    /// Counts the result in the metrics if the call was refused.
    pub(super) fn count_refusal<T>(&self, result: Result<T, QueryError>) -> Result<T, QueryError> {
        match &result {
            Err(QueryError::Behind { .. }) => self.metrics.behind.increment(1),
            Err(QueryError::TooOld { .. }) => self.metrics.too_old.increment(1),
            Err(QueryError::Parked { .. }) => self.metrics.parked.increment(1),
            Err(QueryError::Overloaded) => self.metrics.overloaded.increment(1),
            _ => {}
        }
        result
    }
}

/// Refuses rows that a parked stream makes incomplete: the stream's own rows always, and rows made of many streams if a
/// token requires a position of their partition, as the missing event may be the one that the token stands for.
pub(super) fn refuse_parked(
    snapshot: &ProgressSnapshot,
    view_index: usize,
    partition: Partition,
    stream: Option<&StreamId>,
    required: Position,
) -> Result<(), QueryError> {
    let Some(progress) = snapshot.progress(view_index, partition) else { return Ok(()) };
    let parked = match stream {
        Some(stream) if progress.is_parked(stream) => Some(stream),
        None if required > Position::START => progress.parked().first(),
        _ => None,
    };
    parked.map_or(Ok(()), |stream_id| Err(QueryError::Parked { stream_id: stream_id.clone() }))
}
