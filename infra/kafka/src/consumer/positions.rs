//! The member's partitions, and the next offset of each.

use std::collections::BTreeMap;

use diptych_kernel::{
    EventTypeInterner, Partition,
    ports::{LogRecord, Offset, PortError},
};
use diptych_runtime::LogLimiter;
use rdkafka::message::BorrowedMessage;

use crate::{
    config::KafkaConfig,
    error::unreadable_record,
    record::{Decoded, decode},
};

/// The partitions of a member, with the next offset of each.
#[derive(Debug, Default)]
pub(super) struct FetchPositions {
    /// The next offset to deliver; `None` for a partition that is not started.
    next_offsets: BTreeMap<Partition, Option<u64>>,
    event_types: EventTypeInterner,
    log_limiter: LogLimiter,
    /// Number of skipped records of other programs.
    foreign_records_count: u64,
}

/// Treatment of a fetched record.
pub(super) enum Fetched {
    /// Delivers it.
    Record(LogRecord),
    /// Ignores it: its partition is not started, it was delivered before, or it belongs to another program.
    Skipped,
    /// Stops its partition: it cannot be decoded.
    Unreadable(Partition, PortError),
}

impl FetchPositions {
    pub(super) fn contains(&self, partition: Partition) -> bool {
        self.next_offsets.contains_key(&partition)
    }

    /// Returns whether the partition is being read.
    pub(super) fn is_started(&self, partition: Partition) -> bool {
        matches!(self.next_offsets.get(&partition), Some(Some(_)))
    }

    /// Adds an assigned partition. It is not started.
    pub(super) fn add(&mut self, partition: Partition) {
        self.next_offsets.insert(partition, None);
    }

    /// Removes partitions. Returns those that were the member's.
    pub(super) fn remove(&mut self, partitions: &[Partition]) -> Vec<Partition> {
        partitions.iter().copied().filter(|partition| self.next_offsets.remove(partition).is_some()).collect()
    }

    /// Removes and returns all partitions.
    pub(super) fn remove_all(&mut self) -> Vec<Partition> {
        std::mem::take(&mut self.next_offsets).into_keys().collect()
    }

    pub(super) fn start(&mut self, partition: Partition, offset: u64) {
        self.next_offsets.insert(partition, Some(offset));
    }

    /// Stops a partition: its records are skipped until it is started again.
    pub(super) fn stop(&mut self, partition: Partition) {
        if let Some(next) = self.next_offsets.get_mut(&partition) {
            *next = None;
        }
    }

    /// Decodes a fetched record, and advances the next offset of its partition.
    pub(super) fn accept(
        &mut self,
        config: &KafkaConfig,
        partition: Partition,
        offset: u64,
        record: &BorrowedMessage<'_>,
    ) -> Fetched {
        let Some(Some(next)) =
            self.next_offsets.get_mut(&partition).filter(|next| next.is_some_and(|next| next <= offset))
        else {
            return Fetched::Skipped;
        };
        let topic = config.topic.as_str();
        match decode(record, partition, &mut self.event_types, config.history.as_ref()) {
            Decoded::Entry(entry) => {
                *next = offset + 1;
                Fetched::Record(LogRecord { offset: Offset(offset), entry })
            }
            Decoded::Lost => {
                *next = offset + 1;
                if self.log_limiter.allow().is_some() {
                    let partition = partition.number();
                    tracing::info!(
                        topic,
                        partition,
                        offset,
                        "skipped a record that a restore of the write database lost"
                    );
                }
                Fetched::Skipped
            }
            Decoded::Foreign => {
                *next = offset + 1;
                self.foreign_records_count += 1;
                if self.log_limiter.allow().is_some() {
                    let (partition, skipped) = (partition.number(), self.foreign_records_count);
                    tracing::warn!(topic, partition, offset, skipped, "skipped a record of another program");
                }
                Fetched::Skipped
            }
            Decoded::Unreadable(reason) => {
                self.stop(partition);
                Fetched::Unreadable(partition, unreadable_record(topic, partition, offset, &reason))
            }
        }
    }
}
