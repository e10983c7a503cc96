//! Writer that goes on after failures, and knows what the log has acknowledged.

use std::sync::Arc;

use diptych_kafka::KafkaEventLog;
use diptych_kernel::{
    Position,
    ports::{Effect, EventLog, LogEntry, Remedy},
};

use crate::harness;

/// Writer that appends events at increasing positions. Like the relay, it appends again after a failure what was not
/// acknowledged, and what is missing at the ends of the log.
pub(crate) struct Writer {
    log: Arc<KafkaEventLog>,
    pub(crate) acknowledged: Vec<LogEntry>,
    /// The number of failed appends.
    pub(crate) failures: usize,
}

impl Writer {
    pub(crate) fn new(log: &Arc<KafkaEventLog>) -> Self {
        Self { log: Arc::clone(log), acknowledged: Vec::new(), failures: 0 }
    }

    /// Appends events until they are acknowledged.
    pub(crate) async fn write(&mut self, new: Vec<LogEntry>) {
        let mut lost = Vec::new();
        loop {
            match self.log.append(&[lost.clone(), new.clone()].concat()).await {
                Ok(()) => break self.acknowledged.extend(new),
                Err(error) => {
                    assert_eq!(error.remedy(), Remedy::Retry, "{error}");
                    self.failures += 1;
                    if error.effect() == Effect::Unknown {
                        lost = self.lost_events().await;
                    }
                }
            }
        }
    }

    /// Returns the acknowledged events that are behind the end of their partition.
    async fn lost_events(&self) -> Vec<LogEntry> {
        let ends: Vec<Option<Position>> = loop {
            // The brokers may be slow or without a leader for a moment.
            if let Ok(ends) = self.log.ends().await {
                break ends.into_iter().map(|end| end.last_event.map(|event| event.position)).collect();
            }
        };
        let is_lost = |entry: &&LogEntry| Some(harness::position_of(entry)) > ends[entry.partition().index()];
        self.acknowledged.iter().filter(is_lost).cloned().collect()
    }
}
