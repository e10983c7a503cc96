//! Records of the queue.

use diptych_kernel::{
    EventMetadata, StreamId,
    ports::{Offset, QueueEnds, QueueRecord, QueuedCommand},
};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::database::{TransactionError, row};

const SEPARATOR: &str = "\n";

pub(super) fn append(
    transaction: &Transaction<'_>,
    commands: &[QueuedCommand],
) -> Result<Vec<Offset>, TransactionError> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO commands (request_id, fingerprint, expected_version, streams, command_type, payload, traceparent,
                               queued_by, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    let mut offsets = Vec::with_capacity(commands.len());
    for command in commands {
        let streams: Vec<&str> = command.streams.iter().map(StreamId::as_str).collect();
        let offset = insert.insert(params![
            command.request_id.as_bytes(),
            command.fingerprint.as_bytes(),
            command.expected_version.map(|version| version.number()),
            streams.join(SEPARATOR),
            &*command.command_type,
            &command.payload[..],
            command.metadata.traceparent.as_deref(),
            &*command.queued_by,
            command.expires_at.as_micros(),
        ])?;
        offsets.push(Offset(offset.unsigned_abs()));
    }
    Ok(offsets)
}

pub(super) fn read(connection: &Connection, from: Offset, limit: usize) -> Result<Vec<QueueRecord>, TransactionError> {
    let mut select = connection.prepare_cached(
        "SELECT record_offset, request_id, fingerprint, expected_version, streams, command_type, payload, traceparent,
                queued_by, expires_at
         FROM commands WHERE record_offset >= ?1 ORDER BY record_offset LIMIT ?2",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = select.query(params![row::offset_column(from)?, limit])?;
    let mut records = Vec::new();
    while let Some(found) = rows.next()? {
        records.push(record(found)?);
    }
    Ok(records)
}

fn record(found: &Row<'_>) -> Result<QueueRecord, TransactionError> {
    let streams: String = found.get(4)?;
    let streams = streams.split(SEPARATOR).map(|name| StreamId::new(name).map_err(row::corrupt));
    let expected_version: Option<u32> = found.get(3)?;
    let (command_type, queued_by): (String, String) = (found.get(5)?, found.get(8)?);
    let traceparent: Option<String> = found.get(7)?;
    let command = QueuedCommand {
        request_id: row::request_id(found, 1)?,
        fingerprint: row::fingerprint(found, 2)?,
        expected_version: expected_version.map(diptych_kernel::Version::new),
        streams: streams.collect::<Result<_, _>>()?,
        command_type: command_type.into(),
        payload: row::bytes(found, 6)?,
        metadata: EventMetadata { traceparent: traceparent.map(Into::into) },
        queued_by: queued_by.into(),
        expires_at: row::timestamp(found, 9)?,
    };
    Ok(QueueRecord { offset: row::offset(found, 0)?, command })
}

pub(super) fn ends(connection: &Connection) -> Result<QueueEnds, TransactionError> {
    let newest: Option<i64> = connection
        .query_row("SELECT seq FROM sqlite_sequence WHERE name = 'commands'", [], |row| row.get(0))
        .optional()?;
    let next = Offset(newest.unwrap_or(0).unsigned_abs() + 1);
    let first: Option<i64> = connection.query_row("SELECT min(record_offset) FROM commands", [], |row| row.get(0))?;
    Ok(QueueEnds { first: first.map_or(next, |first| Offset(first.unsigned_abs())), next })
}

pub(super) fn delete_before(
    transaction: &Transaction<'_>,
    offset: Offset,
    limit: usize,
) -> Result<usize, TransactionError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut delete = transaction.prepare_cached(
        "DELETE FROM commands WHERE record_offset IN (
             SELECT record_offset FROM commands WHERE record_offset < ?1 ORDER BY record_offset LIMIT ?2
         )",
    )?;
    Ok(delete.execute(params![row::offset_column(offset)?, limit])?)
}
