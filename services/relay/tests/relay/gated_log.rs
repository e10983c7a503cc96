//! Log whose appends a test can block.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use diptych_embedded::{EmbeddedConsumer, EmbeddedEventLog};
use diptych_kernel::{
    Partitions,
    ports::{EventLog, LogEntry, PartitionEnd, PortError, PortResult},
};
use tokio::sync::watch;

/// A log with a gate before its appends: while it is closed they wait until it opens.
pub(crate) struct GatedLog {
    log: Arc<EmbeddedEventLog>,
    is_open: watch::Sender<bool>,
    blocked: AtomicUsize,
}

impl GatedLog {
    pub(crate) fn closed(log: &Arc<EmbeddedEventLog>) -> Arc<Self> {
        Arc::new(Self { log: Arc::clone(log), is_open: watch::Sender::new(false), blocked: AtomicUsize::new(0) })
    }

    pub(crate) fn open(&self) {
        self.is_open.send_replace(true);
    }

    /// Returns the number of appends that wait.
    pub(crate) fn blocked_count(&self) -> usize {
        self.blocked.load(Ordering::SeqCst)
    }
}

impl EventLog for GatedLog {
    type Consumer = EmbeddedConsumer;

    fn partitions(&self) -> Partitions {
        self.log.partitions()
    }

    async fn append(&self, entries: &[LogEntry]) -> PortResult<()> {
        self.blocked.fetch_add(1, Ordering::SeqCst);
        let opened = self.is_open.subscribe().wait_for(|is_open| *is_open).await.map(|_| ());
        self.blocked.fetch_sub(1, Ordering::SeqCst);
        opened.map_err(|_| PortError::not_done("the gate was dropped"))?;
        self.log.append(entries).await
    }

    async fn ends(&self) -> PortResult<Vec<PartitionEnd>> {
        self.log.ends().await
    }

    async fn join(&self, group: &str, member: &str) -> PortResult<EmbeddedConsumer> {
        self.log.join(group, member).await
    }
}
