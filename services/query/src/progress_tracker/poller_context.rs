//! State that both polling tasks share.

use std::{sync::Arc, time::Duration};

use diptych_kernel::domain::ViewId;
use diptych_runtime::Backoff;
use parking_lot::Mutex;

use super::{publisher::SnapshotPublisher, watchers::Watchers};
use crate::{config::QueryConfig, metrics::QueryMetrics};

const RETRY_DELAY_MIN: Duration = Duration::from_millis(10);
const RETRY_DELAY_MAX: Duration = Duration::from_secs(1);

/// Shared state of the polling tasks.
pub(super) struct PollerContext {
    pub(super) views: Arc<[ViewId]>,
    pub(super) publisher: Mutex<SnapshotPublisher>,
    pub(super) watchers: Watchers,
    pub(super) config: QueryConfig,
    pub(super) metrics: Arc<QueryMetrics>,
}

impl PollerContext {
    /// Returns the delays between polls that fail.
    pub(super) fn backoff(&self) -> Backoff {
        Backoff::seeded(RETRY_DELAY_MIN, RETRY_DELAY_MAX, self.config.jitter_seed)
    }
}
