//! Read position of a member.

use std::collections::{BTreeMap, VecDeque};

use diptych_kernel::{
    Partition,
    ports::{LogRecord, Offset},
};
use rusqlite::Connection;

use super::records;
use crate::database::TransactionError;

/// Read position of a member. Partitions are read together, in the order of appending, with one statement for all of
/// them. A partition with a new offset is first read alone, until it has caught up with the others.
#[derive(Clone, Debug, Default)]
pub(super) struct ReadCursor {
    partitions: BTreeMap<Partition, PartitionCursor>,
    /// Sequence number up to which the caught-up partitions were read.
    sequence: i64,
    /// Whether the caught-up partitions are read first. Alternates, so that neither kind starves the other.
    reads_caught_up_first: bool,
    /// Partitions that have not caught up, in the order of seeking. They catch up one after another.
    behind: VecDeque<Partition>,
}

#[derive(Clone, Copy, Debug)]
struct PartitionCursor {
    next: Offset,
    /// Whether everything up to [`ReadCursor::sequence`] was read.
    is_caught_up: bool,
}

impl ReadCursor {
    /// Starts or continues reading a partition at an offset.
    pub(super) fn seek(&mut self, partition: Partition, offset: Offset) {
        self.stop(partition);
        self.partitions.insert(partition, PartitionCursor { next: offset, is_caught_up: false });
        self.behind.push_back(partition);
    }

    pub(super) fn stop(&mut self, partition: Partition) {
        self.partitions.remove(&partition);
        self.behind.retain(|behind| *behind != partition);
    }

    /// Reads up to `limit` records. Also returns whether more may be available at once.
    pub(super) fn read_next(
        &mut self,
        connection: &Connection,
        limit: usize,
    ) -> Result<(Vec<LogRecord>, bool), TransactionError> {
        if self.partitions.is_empty() {
            return Ok((Vec::new(), false));
        }
        if !self.partitions.values().any(|cursor| cursor.is_caught_up) {
            // No partition needs the records after the common sequence, so it can jump to the end.
            self.sequence = records::last_sequence(connection)?;
        }
        let mut found = Vec::new();
        self.reads_caught_up_first = !self.reads_caught_up_first;
        if self.reads_caught_up_first {
            let more = self.read_caught_up(connection, &mut found, limit)?;
            self.catch_up(connection, &mut found, limit)?;
            return Ok((found, more));
        }
        self.catch_up(connection, &mut found, limit)?;
        let more = self.read_caught_up(connection, &mut found, limit)?;
        Ok((found, more))
    }

    /// Reads partitions that have not caught up, up to the common sequence.
    fn catch_up(
        &mut self,
        connection: &Connection,
        found: &mut Vec<LogRecord>,
        limit: usize,
    ) -> Result<(), TransactionError> {
        while let Some(partition) = self.behind.front().copied() {
            let room = limit.saturating_sub(found.len());
            let Some(cursor) = self.partitions.get_mut(&partition).filter(|_| room > 0) else { break };
            let records = records::of_partition(connection, partition, cursor.next, self.sequence, room)?;
            cursor.is_caught_up = records.len() < room;
            if cursor.is_caught_up {
                self.behind.pop_front();
            }
            for (_, record) in records {
                cursor.next = after(record.offset);
                found.push(record);
            }
        }
        Ok(())
    }

    /// Reads the caught-up partitions after the common sequence. Returns whether there may be more.
    fn read_caught_up(
        &mut self,
        connection: &Connection,
        found: &mut Vec<LogRecord>,
        limit: usize,
    ) -> Result<bool, TransactionError> {
        let room = limit.saturating_sub(found.len());
        if room == 0 || !self.partitions.values().any(|cursor| cursor.is_caught_up) {
            return Ok(room == 0);
        }
        let records = records::after(connection, self.sequence, room)?;
        let more = records.len() == room;
        for (sequence, record) in records {
            self.sequence = sequence;
            let cursor = self.partitions.get_mut(&record.entry.partition()).filter(|cursor| cursor.is_caught_up);
            // The partition may start past the end, or the record may have been read already.
            if let Some(cursor) = cursor.filter(|cursor| record.offset >= cursor.next) {
                cursor.next = after(record.offset);
                found.push(record);
            }
        }
        Ok(more)
    }
}

fn after(offset: Offset) -> Offset {
    Offset(offset.0.saturating_add(1))
}
