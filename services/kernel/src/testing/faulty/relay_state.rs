//! A relay state that lies, on its own.

use std::{sync::Arc, time::Duration};

use super::FaultInjector;
use crate::ports::{CursorOutcome, Fence, LeaseOutcome, PortResult, RelayCursor, RelayState};

/// Any relay state behind a liar, where the event store in the same place is left alone.
#[derive(Debug)]
pub struct FaultyRelayState<S> {
    state: Arc<S>,
    faults: FaultInjector,
}

impl<S: RelayState> FaultyRelayState<S> {
    /// Puts a liar before a relay state.
    #[must_use]
    pub fn new(state: Arc<S>, faults: FaultInjector) -> Self {
        Self { state, faults }
    }
}

impl<S: RelayState> RelayState for FaultyRelayState<S> {
    async fn acquire_lease(&self, owner: &str, duration: Duration) -> PortResult<LeaseOutcome> {
        self.faults.around("acquire_lease", self.state.acquire_lease(owner, duration)).await
    }

    async fn move_cursor(&self, fence: Fence, cursor: &RelayCursor, duration: Duration) -> PortResult<CursorOutcome> {
        self.faults.around("move_cursor", self.state.move_cursor(fence, cursor, duration)).await
    }

    async fn release_lease(&self, fence: Fence) -> PortResult<()> {
        self.faults.around("release_lease", self.state.release_lease(fence)).await
    }
}
