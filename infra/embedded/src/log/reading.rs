//! Where a member's reading stands.

use std::collections::{BTreeMap, VecDeque};

use diptych_kernel::{
    Partition,
    ports::{LogRecord, Offset},
};
use rusqlite::Connection;

use super::records;
use crate::database::Trouble;

/// Partitions are read together, in the order of appending, with one statement however many they are. One that was started elsewhere is
/// first read by itself, until it is level with the others.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    partitions: BTreeMap<Partition, Place>,
    /// The last place in the order of appending that level partitions were read up to.
    sequence: i64,
    /// Whose turn it is to read first, so that neither kind keeps the other from reading.
    is_turn_of_level: bool,
    /// Those that are not level, in the order in which they were started: one after the other catches up.
    behind: VecDeque<Partition>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    next: Offset,
    /// Everything up to [`Reading::sequence`] was read.
    is_level: bool,
}

impl Reading {
    /// Starts, or goes on, reading a partition at an offset.
    pub(super) fn start_at(&mut self, partition: Partition, offset: Offset) {
        self.stop(partition);
        self.partitions.insert(partition, Place { next: offset, is_level: false });
        self.behind.push_back(partition);
    }

    pub(super) fn stop(&mut self, partition: Partition) {
        self.partitions.remove(&partition);
        self.behind.retain(|behind| *behind != partition);
    }

    /// Up to `limit` records, and whether there may be more at once.
    pub(super) fn go_on(&mut self, connection: &Connection, limit: usize) -> Result<(Vec<LogRecord>, bool), Trouble> {
        if self.partitions.is_empty() {
            return Ok((Vec::new(), false));
        }
        if !self.partitions.values().any(|place| place.is_level) {
            // Nobody needs what was appended meanwhile from the common place on, so it may as well be the end.
            self.sequence = records::last_sequence(connection)?;
        }
        let mut found = Vec::new();
        self.is_turn_of_level = !self.is_turn_of_level;
        if self.is_turn_of_level {
            let more = self.read_level(connection, &mut found, limit)?;
            self.catch_up(connection, &mut found, limit)?;
            return Ok((found, more));
        }
        self.catch_up(connection, &mut found, limit)?;
        let more = self.read_level(connection, &mut found, limit)?;
        Ok((found, more))
    }

    /// Brings partitions that are behind nearer to the common place.
    fn catch_up(&mut self, connection: &Connection, found: &mut Vec<LogRecord>, limit: usize) -> Result<(), Trouble> {
        while let Some(partition) = self.behind.front().copied() {
            let room = limit.saturating_sub(found.len());
            let Some(place) = self.partitions.get_mut(&partition).filter(|_| room > 0) else { break };
            let records = records::of_partition(connection, partition, place.next, self.sequence, room)?;
            place.is_level = records.len() < room;
            if place.is_level {
                self.behind.pop_front();
            }
            for (_, record) in records {
                place.next = after(record.offset);
                found.push(record);
            }
        }
        Ok(())
    }

    /// Reads on from the common place. Whether there may be more.
    fn read_level(
        &mut self,
        connection: &Connection,
        found: &mut Vec<LogRecord>,
        limit: usize,
    ) -> Result<bool, Trouble> {
        let room = limit.saturating_sub(found.len());
        if room == 0 || !self.partitions.values().any(|place| place.is_level) {
            return Ok(room == 0);
        }
        let records = records::after(connection, self.sequence, room)?;
        let more = records.len() == room;
        for (sequence, record) in records {
            self.sequence = sequence;
            let place = self.partitions.get_mut(&record.entry.partition()).filter(|place| place.is_level);
            // A partition may have been started above the end, or be read already.
            if let Some(place) = place.filter(|place| record.offset >= place.next) {
                place.next = after(record.offset);
                found.push(record);
            }
        }
        Ok(more)
    }
}

fn after(offset: Offset) -> Offset {
    Offset(offset.0.saturating_add(1))
}
