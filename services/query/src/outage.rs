//! One log line when something fails, and one when it is back, however many calls meet it.

use std::sync::atomic::{AtomicBool, Ordering};

use diptych_kernel::ports::PortError;
use tracing::{info, warn};

/// Whether something that is asked all the time fails at the moment.
#[derive(Debug)]
pub(crate) struct Outage {
    what: &'static str,
    failing: AtomicBool,
}

impl Outage {
    pub(crate) fn new(what: &'static str) -> Self {
        Self { what, failing: AtomicBool::new(false) }
    }

    pub(crate) fn note_failure(&self, error: &PortError) {
        if !self.failing.swap(true, Ordering::Relaxed) {
            warn!(what = self.what, %error, "failing");
        }
    }

    pub(crate) fn note_success(&self) {
        // The load keeps the common case free of writes to a line that all cores share.
        if self.failing.load(Ordering::Relaxed) && self.failing.swap(false, Ordering::Relaxed) {
            info!(what = self.what, "working again");
        }
    }
}
