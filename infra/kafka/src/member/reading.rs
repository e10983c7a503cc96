//! Where a member's reading of a partition stands.

use std::collections::BTreeMap;

use diptych_kernel::{
    EventTypeInterner, Partition,
    ports::{LogRecord, Offset, PortError},
};
use diptych_runtime::LogLimiter;
use rdkafka::message::BorrowedMessage;

use crate::{
    ends::garbled,
    record::{Decoded, decode},
};

/// The partitions that a member has.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// For each the next offset to tell, `None` where it was not started.
    partitions: BTreeMap<Partition, Option<u64>>,
    types: EventTypeInterner,
    limit: LogLimiter,
    /// Strangers' records that were passed over.
    foreign: u64,
}

/// What a fetched record is to the member.
pub(super) enum Fetched {
    /// To be told.
    Record(LogRecord),
    /// Nothing: of a partition that is not read, told already, or a stranger's.
    Nothing,
    /// It cannot be read, so its partition is not read any further.
    Garbled(Partition, PortError),
}

impl Reading {
    pub(super) fn has(&self, partition: Partition) -> bool {
        self.partitions.contains_key(&partition)
    }

    /// Whether the partition is being read.
    pub(super) fn is_started(&self, partition: Partition) -> bool {
        matches!(self.partitions.get(&partition), Some(Some(_)))
    }

    /// A partition that is the member's now, and silent at first.
    pub(super) fn add(&mut self, partition: Partition) {
        self.partitions.insert(partition, None);
    }

    /// Takes partitions away. Returns those that were the member's.
    pub(super) fn remove(&mut self, partitions: &[Partition]) -> Vec<Partition> {
        partitions.iter().copied().filter(|partition| self.partitions.remove(partition).is_some()).collect()
    }

    /// Takes all partitions away.
    pub(super) fn remove_all(&mut self) -> Vec<Partition> {
        std::mem::take(&mut self.partitions).into_keys().collect()
    }

    pub(super) fn start(&mut self, partition: Partition, offset: u64) {
        self.partitions.insert(partition, Some(offset));
    }

    /// Nothing more of this partition is told until it is started again.
    pub(super) fn silence(&mut self, partition: Partition) {
        if let Some(next) = self.partitions.get_mut(&partition) {
            *next = None;
        }
    }

    /// Reads a record that was fetched.
    pub(super) fn take(
        &mut self,
        topic: &str,
        partition: Partition,
        offset: u64,
        record: &BorrowedMessage<'_>,
    ) -> Fetched {
        let Some(Some(next)) =
            self.partitions.get_mut(&partition).filter(|next| next.is_some_and(|next| next <= offset))
        else {
            return Fetched::Nothing;
        };
        match decode(record, partition, &mut self.types) {
            Decoded::Entry(entry) => {
                *next = offset + 1;
                Fetched::Record(LogRecord { offset: Offset(offset), entry })
            }
            Decoded::Foreign => {
                *next = offset + 1;
                self.foreign += 1;
                if self.limit.allow().is_some() {
                    let skipped = self.foreign;
                    tracing::warn!(topic, %partition, offset, skipped, "another program's record on the topic is skipped");
                }
                Fetched::Nothing
            }
            Decoded::Garbled(why) => {
                self.silence(partition);
                Fetched::Garbled(partition, garbled(topic, partition, offset, &why))
            }
        }
    }
}
