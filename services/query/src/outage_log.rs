//! Logs the start and the end of an outage once each, however many calls fail during it.

use std::sync::atomic::{AtomicBool, Ordering};

use diptych_kernel::ports::PortError;
use tracing::{info, warn};

/// Tracks whether calls to a dependency currently fail.
#[derive(Debug)]
pub(crate) struct OutageLog {
    dependency: &'static str,
    failing: AtomicBool,
}

impl OutageLog {
    pub(crate) fn new(dependency: &'static str) -> Self {
        Self { dependency, failing: AtomicBool::new(false) }
    }

    pub(crate) fn record_failure(&self, error: &PortError) {
        if !self.failing.swap(true, Ordering::Relaxed) {
            warn!(dependency = self.dependency, %error, "calls are failing and are retried");
        }
    }

    pub(crate) fn record_success(&self) {
        // The load first: the common case must not write to a cache line that all cores share.
        if self.failing.load(Ordering::Relaxed) && self.failing.swap(false, Ordering::Relaxed) {
            info!(dependency = self.dependency, "calls succeed again");
        }
    }
}
