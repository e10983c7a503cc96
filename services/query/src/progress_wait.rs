//! Waits for a view to reach a token: bounded in time by the caller's deadline, and in number.

use std::sync::Arc;

use diptych_kernel::{Partition, Position, Timestamp, domain::ViewId};
use diptych_runtime::trace::fail;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};
use tracing::Instrument;

use crate::{error::QueryError, metrics::QueryMetrics, progress_tracker::ProgressTracker, trace::wait_span};

/// Lets a limited number of calls wait for progress.
pub(crate) struct ProgressWaits {
    tracker: ProgressTracker,
    permits: Semaphore,
    metrics: Arc<QueryMetrics>,
}

/// The progress that a call waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProgressGoal {
    pub(crate) view: ViewId,
    /// The view's index in the progress tracker.
    pub(crate) view_index: usize,
    pub(crate) partition: Partition,
    pub(crate) required: Position,
}

impl ProgressWaits {
    pub(crate) fn new(tracker: ProgressTracker, pending_max: usize, metrics: Arc<QueryMetrics>) -> Self {
        Self { tracker, permits: Semaphore::new(pending_max.min(Semaphore::MAX_PERMITS)), metrics }
    }

    /// Waits until the view has reached the goal.
    ///
    /// # Errors
    /// [`QueryError::Behind`] at the deadline, and at once when the process is stopping: another process answers the
    /// caller's retry. [`QueryError::Overloaded`] if too many calls wait.
    pub(crate) async fn wait_until_reached(&self, goal: ProgressGoal, deadline: Instant) -> Result<(), QueryError> {
        let Ok(_permit) = self.permits.try_acquire() else { return Err(QueryError::Overloaded) };
        let began_at = Instant::now();
        let reached = self.tracker.wait_until_reached(goal.view_index, goal.partition, goal.required);
        let span = wait_span(goal.view, goal.partition);
        let reached = timeout_at(deadline, reached.instrument(span.clone())).await;
        self.metrics.waits.increment(1);
        self.metrics.wait_seconds.record(began_at.elapsed().as_secs_f64());
        if reached == Ok(true) {
            return Ok(());
        }
        fail(&span, "behind");
        Err(self.behind(goal))
    }

    /// Waits until a view is complete up to a time in a partition, and returns its position.
    ///
    /// # Errors
    /// As [`ProgressWaits::wait_until_reached`], with [`QueryError::TooOld`].
    pub(crate) async fn wait_until_complete(
        &self,
        partition: Partition,
        time: Timestamp,
        deadline: Instant,
    ) -> Result<Position, QueryError> {
        if let Some(position) = self.tracker.snapshot().and_then(|snapshot| snapshot.complete_at(partition, time)) {
            return Ok(position);
        }
        let Ok(_permit) = self.permits.try_acquire() else { return Err(QueryError::Overloaded) };
        let position = timeout_at(deadline, self.tracker.wait_until_complete(partition, time)).await;
        position.ok().flatten().ok_or_else(|| {
            let reached = self.tracker.snapshot().and_then(|snapshot| snapshot.latest_as_of(partition));
            QueryError::TooOld { partition, required: time, reached }
        })
    }

    fn behind(&self, goal: ProgressGoal) -> QueryError {
        let snapshot = self.tracker.snapshot();
        let reached = snapshot.map_or(Position::START, |snapshot| snapshot.position(goal.view_index, goal.partition));
        QueryError::Behind { view: goal.view, partition: goal.partition, required: goal.required, reached }
    }
}
