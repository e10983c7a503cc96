//! Records of the log: appends, reads and retention.

use std::collections::HashMap;

use diptych_kernel::{
    EventIdentity, EventTypeInterner, Partition, Partitions, RequestId,
    ports::{LogEntry, LogRecord, Offset, PartitionEnd, Watermark},
};
use rusqlite::{Connection, Row as SqlRow, Transaction, params};

use crate::database::{TransactionError, row};

/// Stored end of a partition.
#[derive(Clone, Copy, Default)]
struct End {
    next_offset: i64,
    last_event: Option<i64>,
    last_event_offset: Option<i64>,
}

pub(super) fn append(transaction: &Transaction<'_>, entries: &[LogEntry]) -> Result<(), TransactionError> {
    let mut ends: HashMap<Partition, End> = HashMap::new();
    let mut insert = transaction.prepare_cached(
        "INSERT INTO records (partition, record_offset, position, recorded_at, last_event,
                              version, stream_id, event_type, request_id, payload, traceparent)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    for entry in entries {
        let partition = entry.partition();
        let mut end = match ends.get(&partition) {
            Some(end) => *end,
            None => read_end(transaction, partition)?,
        };
        match entry {
            LogEntry::Event(event) => {
                insert.execute(params![
                    partition.number(),
                    end.next_offset,
                    event.position.as_i64(),
                    event.recorded_at.as_micros(),
                    None::<i64>,
                    event.version.number(),
                    event.stream_id.as_str(),
                    &*event.event_type,
                    event.request_id.as_bytes(),
                    &event.payload[..],
                    event.metadata.traceparent.as_deref(),
                ])?;
                // A repeated older event does not become the last one.
                if end.last_event <= Some(event.position.as_i64()) {
                    end.last_event = Some(event.position.as_i64());
                    end.last_event_offset = Some(end.next_offset);
                }
            }
            LogEntry::Watermark(_, watermark) => {
                let (position, last_event) = (watermark.position.as_i64(), watermark.last_event.as_i64());
                let (none, nothing) = (None::<i64>, None::<&str>);
                insert.execute(params![
                    partition.number(),
                    end.next_offset,
                    position,
                    watermark.as_of.as_micros(),
                    last_event,
                    none,
                    nothing,
                    nothing,
                    none,
                    none,
                    nothing
                ])?;
            }
        }
        end.next_offset += 1;
        ends.insert(partition, end);
    }
    write_ends(transaction, &ends)
}

fn read_end(connection: &Connection, partition: Partition) -> Result<End, TransactionError> {
    let mut select = connection
        .prepare_cached("SELECT next_offset, last_event, last_event_offset FROM partition_ends WHERE partition = ?1")?;
    let mut rows = select.query([partition.number()])?;
    match rows.next()? {
        Some(row) => Ok(End { next_offset: row.get(0)?, last_event: row.get(1)?, last_event_offset: row.get(2)? }),
        None => Ok(End::default()),
    }
}

fn write_ends(transaction: &Transaction<'_>, ends: &HashMap<Partition, End>) -> Result<(), TransactionError> {
    let mut upsert = transaction.prepare_cached(
        "INSERT OR REPLACE INTO partition_ends (partition, next_offset, last_event, last_event_offset)
         VALUES (?1, ?2, ?3, ?4)",
    )?;
    for (partition, end) in ends {
        upsert.execute(params![partition.number(), end.next_offset, end.last_event, end.last_event_offset])?;
    }
    Ok(())
}

pub(super) fn ends(connection: &Connection, partitions: Partitions) -> Result<Vec<PartitionEnd>, TransactionError> {
    let mut ends = Vec::with_capacity(usize::from(partitions.count()));
    for partition in partitions.iter() {
        let end = read_end(connection, partition)?;
        let next_offset = u64::try_from(end.next_offset).map(Offset).map_err(row::corrupt)?;
        let last_event = end.last_event_offset.map(|offset| event_at(connection, partition, offset)).transpose()?;
        ends.push(PartitionEnd { next_offset, last_event });
    }
    Ok(ends)
}

/// Reads the event at an offset, which trimming keeps.
fn event_at(connection: &Connection, partition: Partition, offset: i64) -> Result<EventIdentity, TransactionError> {
    let mut select = connection
        .prepare_cached("SELECT position, request_id FROM records WHERE partition = ?1 AND record_offset = ?2")?;
    let mut rows = select.query(params![partition.number(), offset])?;
    let found = rows.next()?.ok_or_else(|| row::corrupt(format_args!("no record at offset {offset}")))?;
    Ok(EventIdentity { position: row::position(found, 0)?, request_id: RequestId::from_bytes(found.get(1)?) })
}

/// Selects the columns that [`row::event`] reads, and then those that [`entry`] and [`collect`] read in addition.
macro_rules! select_records {
    ($which:literal) => {
        concat!(
            "SELECT position, partition, stream_id, version, recorded_at, event_type, request_id, payload, ",
            "traceparent, sequence, record_offset, last_event FROM records WHERE ",
            $which
        )
    };
}

/// Records with their sequence numbers, which give the order of appending.
pub(super) type Sequenced = Vec<(i64, LogRecord)>;

/// Returns the sequence number of the newest record.
pub(super) fn last_sequence(connection: &Connection) -> Result<i64, TransactionError> {
    let mut select = connection.prepare_cached("SELECT COALESCE(MAX(sequence), 0) FROM records")?;
    Ok(select.query_row([], |row| row.get(0))?)
}

/// Reads records of all partitions, in the order of appending.
pub(super) fn after(
    connection: &Connection,
    sequence_exclusive: i64,
    limit: usize,
) -> Result<Sequenced, TransactionError> {
    let mut select = connection.prepare_cached(select_records!("sequence > ?1 ORDER BY sequence LIMIT ?2"))?;
    collect(select.query(params![sequence_exclusive, i64::try_from(limit).unwrap_or(i64::MAX)])?)
}

/// Reads records of one partition from an offset on, up to a sequence number.
pub(super) fn of_partition(
    connection: &Connection,
    partition: Partition,
    from: Offset,
    sequence_inclusive: i64,
    limit: usize,
) -> Result<Sequenced, TransactionError> {
    let mut select = connection.prepare_cached(select_records!(
        "partition = ?1 AND record_offset >= ?2 AND sequence <= ?3 ORDER BY record_offset LIMIT ?4"
    ))?;
    let (from, limit) = (row::offset_column(from)?, i64::try_from(limit).unwrap_or(i64::MAX));
    collect(select.query(params![partition.number(), from, sequence_inclusive, limit])?)
}

fn collect(mut rows: rusqlite::Rows<'_>) -> Result<Sequenced, TransactionError> {
    let mut types = EventTypeInterner::default();
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        let entry = entry(row, &mut types)?;
        records.push((row.get(9)?, LogRecord { offset: row::offset(row, 10)?, entry }));
    }
    Ok(records)
}

fn entry(row: &SqlRow<'_>, types: &mut EventTypeInterner) -> Result<LogEntry, TransactionError> {
    let last_event: Option<i64> = row.get(11)?;
    if last_event.is_none() {
        return Ok(LogEntry::Event(row::event(row, types)?));
    }
    let watermark = Watermark {
        position: row::position(row, 0)?,
        as_of: row::timestamp(row, 4)?,
        last_event: row::position(row, 11)?,
    };
    Ok(LogEntry::Watermark(row::partition(row, 1)?, watermark))
}

/// Deletes records that all groups have committed. The newest record of a partition is always kept, so that offsets and
/// sequence numbers do not restart.
pub(super) fn trim(
    transaction: &Transaction<'_>,
    keep_records_min: u64,
    limit: usize,
) -> Result<usize, TransactionError> {
    let keep = i64::try_from(keep_records_min).unwrap_or(i64::MAX);
    let mut bounds = transaction.prepare_cached(
        "SELECT ends.partition, MIN(MIN(groups.next_offset), ends.next_offset - ?1), ends.last_event_offset
         FROM partition_ends AS ends JOIN group_partitions AS groups ON groups.partition = ends.partition
         GROUP BY ends.partition",
    )?;
    let mut delete = transaction.prepare_cached(
        "DELETE FROM records WHERE sequence IN (
             SELECT sequence FROM records
             WHERE partition = ?1 AND record_offset < ?2 AND record_offset IS NOT ?3 ORDER BY record_offset LIMIT ?4)",
    )?;
    let mut deleted = 0;
    let mut rows = bounds.query([keep])?;
    while let Some(row) = rows.next()? {
        let (partition, before, last_event): (u16, i64, Option<i64>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let room = i64::try_from(limit.saturating_sub(deleted)).unwrap_or(i64::MAX);
        deleted += delete.execute(params![partition, before, last_event, room])?;
    }
    Ok(deleted)
}
