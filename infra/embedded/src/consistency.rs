//! Check that the log and the views of a folder are not ahead of its events.
//!
//! The relay and the projector would find it out too, but only after commands were accepted, whose events then get
//! positions that the log and the views know already.
//!
//! Not detectable here: a folder of which all three files are older, which is a restore, and an older `events.db` from
//! which `log.db` and `views.db` were deleted.

use std::path::Path;

use diptych_kernel::ports::{PortError, PortResult};
use rusqlite::{Connection, OptionalExtension, params};

use crate::database::{TransactionError, open_reader};

/// Checks a folder whose databases are open in this process.
///
/// # Errors
/// If the log or the views have an event that the write database does not have.
pub(crate) fn check(folder: &Path) -> PortResult<()> {
    let [events, log, views] = ["events.db", "log.db", "views.db"].map(|name| open_reader(&folder.join(name)));
    let (events, log, views) = (events?, log?, views?);
    let unknown = match unknown_record(&events, &log).map_err(|error| error.without_effect(&log))? {
        Some(record) => Some(format!("log.db has {record}")),
        None => view_ahead(&events, &views).map_err(|error| error.without_effect(&views))?,
    };
    let Some(unknown) = unknown else { return Ok(()) };
    Err(PortError::operator(format!(
        "{unknown}, which events.db does not have: events.db in {} is older than the files beside it. Put back the events.db \
         that belongs to them, with its events.db-wal. To go on with the older events, without the commands that were \
         acknowledged after them: delete log.db* and views.db*, and start again",
        folder.display()
    )))
}

/// Returns the last event of a partition of the log that the write database does not have. Compares the request too:
/// with an older database another event may have got the position.
fn unknown_record(events: &Connection, log: &Connection) -> Result<Option<String>, TransactionError> {
    let mut ends = log.prepare(
        "SELECT position, request_id, stream_id, version FROM partition_ends
         JOIN records ON records.partition = partition_ends.partition AND record_offset = last_event_offset",
    )?;
    let mut is_known = events
        .prepare("SELECT 1 FROM events WHERE position = ?1 AND request_id = ?2 AND stream_id = ?3 AND version = ?4")?;
    let mut rows = ends.query([])?;
    while let Some(row) = rows.next()? {
        let (position, version): (i64, u32) = (row.get(0)?, row.get(3)?);
        let (request_id, stream_id): (Vec<u8>, String) = (row.get(1)?, row.get(2)?);
        if !is_known.exists(params![position, request_id, stream_id, version])? {
            return Ok(Some(format!("version {version} of stream {stream_id} at position {position}")));
        }
    }
    Ok(None)
}

/// Returns a view whose progress is after the last event.
fn view_ahead(events: &Connection, views: &Connection) -> Result<Option<String>, TransactionError> {
    let last: i64 = events.query_row("SELECT COALESCE(MAX(position), 0) FROM events", [], |row| row.get(0))?;
    let ahead = views
        .query_row("SELECT view, position FROM progress WHERE position > ?1 LIMIT 1", [last], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
        })
        .optional()?;
    Ok(ahead.map(|(view, position)| format!("view {view} in views.db has the events up to position {position}")))
}
