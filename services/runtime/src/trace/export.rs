//! The target of exported spans, and the number of running exporters.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The target of spans for traces.
pub const TARGET: &str = "diptych_trace";

/// The number of running exporters.
static EXPORTERS: AtomicUsize = AtomicUsize::new(0);

/// Returns whether this process exports traces. If not, no spans need to be made.
#[must_use]
pub fn is_on() -> bool {
    EXPORTERS.load(Ordering::Relaxed) > 0
}

pub(crate) fn exporter_begins() {
    EXPORTERS.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn exporter_ends() {
    EXPORTERS.fetch_sub(1, Ordering::Relaxed);
}
