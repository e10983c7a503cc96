//! A log that a test can hold up.

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

/// A log with a gate before its appends: those that come while it is shut wait until it opens.
pub(crate) struct GatedLog {
    log: Arc<EmbeddedEventLog>,
    is_open: watch::Sender<bool>,
    waiting: AtomicUsize,
}

impl GatedLog {
    pub(crate) fn shut(log: &Arc<EmbeddedEventLog>) -> Arc<Self> {
        Arc::new(Self { log: Arc::clone(log), is_open: watch::Sender::new(false), waiting: AtomicUsize::new(0) })
    }

    pub(crate) fn open(&self) {
        self.is_open.send_replace(true);
    }

    /// How many appends wait.
    pub(crate) fn waiting_count(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }
}

impl EventLog for GatedLog {
    type Consumer = EmbeddedConsumer;

    fn partitions(&self) -> Partitions {
        self.log.partitions()
    }

    async fn append(&self, entries: &[LogEntry]) -> PortResult<()> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let opened = self.is_open.subscribe().wait_for(|is_open| *is_open).await.map(|_| ());
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        opened.map_err(|_| PortError::not_done("the gate is gone"))?;
        self.log.append(entries).await
    }

    async fn ends(&self) -> PortResult<Vec<PartitionEnd>> {
        self.log.ends().await
    }

    async fn join(&self, group: &str, member: &str) -> PortResult<EmbeddedConsumer> {
        self.log.join(group, member).await
    }
}
