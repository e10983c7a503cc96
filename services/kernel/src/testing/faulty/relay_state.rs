//! Relay state with injected faults.

use std::{sync::Arc, time::Duration};

use super::FaultInjector;
use crate::ports::{CursorOutcome, Fence, LeaseOutcome, PortResult, RelayCursor, RelayState};

/// Wraps a relay state and injects faults, without affecting the event store in the same database.
#[derive(Debug)]
pub struct FaultyRelayState<S> {
    state: Arc<S>,
    faults: FaultInjector,
}

impl<S: RelayState> FaultyRelayState<S> {
    /// Wraps a relay state.
    #[must_use]
    pub fn new(state: Arc<S>, faults: FaultInjector) -> Self {
        Self { state, faults }
    }
}

impl<S: RelayState> RelayState for FaultyRelayState<S> {
    async fn acquire_lease(&self, owner: &str, duration: Duration) -> PortResult<LeaseOutcome> {
        self.faults.intercept("acquire_lease", self.state.acquire_lease(owner, duration)).await
    }

    async fn move_cursor(&self, fence: Fence, cursor: &RelayCursor, duration: Duration) -> PortResult<CursorOutcome> {
        self.faults.intercept("move_cursor", self.state.move_cursor(fence, cursor, duration)).await
    }

    async fn release_lease(&self, fence: Fence) -> PortResult<()> {
        self.faults.intercept("release_lease", self.state.release_lease(fence)).await
    }
}
