//! Not going on with connections to a server that has failed.

use std::sync::Arc;

use tokio::{sync::watch, time::Instant};

/// When a connection of a handle last broke off or fell silent. The others were made to the same server: it may be one that lost its lead and
/// still answers reads, with what was so when it lost it. So none that is older is used again; a new one proves itself first.
///
/// Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Distrust(Arc<watch::Sender<Option<Instant>>>);

impl Default for Distrust {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Distrust {
    /// A connection has failed.
    pub(crate) fn begin(&self) {
        self.0.send_replace(Some(Instant::now()));
    }

    /// Whether a connection that was made at a moment may be used.
    pub(crate) fn allows(&self, made: Instant) -> bool {
        self.0.borrow().is_none_or(|failed| made > failed)
    }

    /// For whoever holds on to a connection: changes when it is not to be used any more.
    pub(crate) fn watch(&self) -> watch::Receiver<Option<Instant>> {
        self.0.subscribe()
    }
}
