//! State of the command queue with injected faults.

use std::{sync::Arc, time::Duration};

use super::FaultInjector;
use crate::ports::{CommandQueueState, Fence, Offset, PortResult, QueueLease};

/// Wraps the state of a command queue and injects faults, without affecting the event store in the same database.
#[derive(Debug)]
pub struct FaultyCommandQueueState<S> {
    state: Arc<S>,
    faults: FaultInjector,
}

impl<S: CommandQueueState> FaultyCommandQueueState<S> {
    /// Wraps the state of a command queue.
    #[must_use]
    pub fn new(state: Arc<S>, faults: FaultInjector) -> Self {
        Self { state, faults }
    }
}

impl<S: CommandQueueState> CommandQueueState for FaultyCommandQueueState<S> {
    async fn acquire_queue_lease(&self, owner: &str, duration: Duration) -> PortResult<QueueLease> {
        self.faults.intercept("acquire_queue_lease", self.state.acquire_queue_lease(owner, duration)).await
    }

    async fn move_queue_cursor(&self, fence: Fence, done_before: Offset, duration: Duration) -> PortResult<bool> {
        self.faults.intercept("move_queue_cursor", self.state.move_queue_cursor(fence, done_before, duration)).await
    }

    async fn release_queue_lease(&self, fence: Fence) -> PortResult<()> {
        self.faults.intercept("release_queue_lease", self.state.release_queue_lease(fence)).await
    }
}
