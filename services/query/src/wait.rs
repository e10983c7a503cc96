//! Waiting for a view to reach a token: bounded in time by the caller's deadline, and in number.

use std::sync::Arc;

use diptych_kernel::{Partition, Position, domain::ViewId};
use diptych_runtime::trace::fail;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};
use tracing::Instrument;

use crate::{board::ProgressBoard, error::QueryError, metrics::Metrics, trace};

/// The calls that wait.
pub(crate) struct Waits {
    board: ProgressBoard,
    places: Semaphore,
    metrics: Arc<Metrics>,
}

/// What is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goal {
    pub(crate) view: ViewId,
    /// Its number on the board.
    pub(crate) view_number: usize,
    pub(crate) partition: Partition,
    pub(crate) required: Position,
}

impl Waits {
    pub(crate) fn new(board: ProgressBoard, pending_max: usize, metrics: Arc<Metrics>) -> Self {
        Self { board, places: Semaphore::new(pending_max.min(Semaphore::MAX_PERMITS)), metrics }
    }

    /// Returns when the view has got to the goal. Returns `Behind` at the deadline, or at once when the process is stopping: the caller's next
    /// try is answered by another.
    pub(crate) async fn until_reached(&self, goal: Goal, deadline: Instant) -> Result<(), QueryError> {
        let Ok(_place) = self.places.try_acquire() else { return Err(QueryError::Overloaded) };
        let began = Instant::now();
        let reached = self.board.reached(goal.view_number, goal.partition, goal.required);
        let span = trace::wait(&goal);
        let reached = timeout_at(deadline, reached.instrument(span.clone())).await;
        self.metrics.waits.increment(1);
        self.metrics.wait_seconds.record(began.elapsed().as_secs_f64());
        if reached == Ok(true) {
            return Ok(());
        }
        fail(&span, "behind");
        Err(self.behind(goal))
    }

    fn behind(&self, goal: Goal) -> QueryError {
        let snapshot = self.board.snapshot();
        let reached = snapshot.map_or(Position::START, |snapshot| snapshot.position(goal.view_number, goal.partition));
        QueryError::Behind { view: goal.view, partition: goal.partition, required: goal.required, reached }
    }
}
