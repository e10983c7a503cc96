//! Log that loses acknowledged records at its end, as after an unclean leader election.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use diptych_embedded::{EmbeddedConsumer, EmbeddedEventLog};
use diptych_kernel::{
    Partitions,
    ports::{EventLog, LogEntry, PartitionEnd, PortError, PortResult},
};
use tokio::sync::watch;

/// A log that can lose its end. The next append notices it, stores nothing, and fails with an unknown outcome.
pub(crate) struct LossyLog {
    log: watch::Sender<Arc<EmbeddedEventLog>>,
    has_unnoticed_loss: AtomicBool,
}

impl LossyLog {
    pub(crate) fn new(log: &Arc<EmbeddedEventLog>) -> Arc<Self> {
        Arc::new(Self { log: watch::Sender::new(Arc::clone(log)), has_unnoticed_loss: AtomicBool::new(false) })
    }

    /// Replaces the log by what is left of it.
    pub(crate) fn lose_end(&self, rest: &Arc<EmbeddedEventLog>) {
        self.log.send_replace(Arc::clone(rest));
        self.has_unnoticed_loss.store(true, Ordering::SeqCst);
    }

    fn log(&self) -> Arc<EmbeddedEventLog> {
        Arc::clone(&self.log.borrow())
    }
}

impl EventLog for LossyLog {
    type Consumer = EmbeddedConsumer;

    fn partitions(&self) -> Partitions {
        self.log().partitions()
    }

    async fn append(&self, entries: &[LogEntry]) -> PortResult<()> {
        if self.has_unnoticed_loss.swap(false, Ordering::SeqCst) {
            return Err(PortError::unknown("the log has lost acknowledged records"));
        }
        self.log().append(entries).await
    }

    async fn ends(&self) -> PortResult<Vec<PartitionEnd>> {
        self.log().ends().await
    }

    async fn join(&self, group: &str, member: &str) -> PortResult<EmbeddedConsumer> {
        self.log().join(group, member).await
    }
}
