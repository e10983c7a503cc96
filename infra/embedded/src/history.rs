//! Histories of a data folder: which events its files have, and whether they are those of the write database.
//!
//! Every start begins a new history, which shares the events up to the last one with the history before. `log.db` and
//! `views.db` name the history that they follow, and so does every consistency token. So an older `events.db`, or one
//! of another folder, is noticed however many events it has: it does not know the newest history of the files beside
//! it. And of two copies of a folder that were both started, each refuses the tokens that the other one issued.
//!
//! Not detectable: an older `events.db` from which `log.db` and `views.db` were deleted. That is a restore.

use std::path::Path;

use diptych_kernel::{
    Position,
    ports::{PortError, PortResult},
    vocabulary::{History, HistoryComparison, HistoryId, HistorySpan, TokenIssuer, TokenKey},
};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::{
    database::{TransactionError, check_closed, open_beside, row, set_closed},
    folder::{files, log_path},
};

const EVENTS: &str = "events.db";
const FOLLOWERS: [&str; 2] = ["log.db", "views.db"];

/// Result of a rebase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RebaseSummary {
    /// Position of the newest event of the folder; the start if it has none.
    pub last_position: Position,
}

/// Returns the issuer of tokens of databases in memory.
pub(crate) fn in_memory() -> TokenIssuer {
    TokenIssuer::new(History::new(HistoryId::random()), &TokenKey::random())
}

/// Checks that the databases of a folder, which are open in this process, are of one history, and begins the next one.
///
/// # Errors
/// If the log or the views have an event that the write database does not have. Then nothing is changed.
pub(crate) fn begin(folder: &Path) -> PortResult<TokenIssuer> {
    let mut events = open_beside(&folder.join(EVENTS))?;
    let followers = [open_beside(&folder.join(FOLLOWERS[0]))?, open_beside(&folder.join(FOLLOWERS[1]))?];
    let begun = begin_next(&mut events, &followers).map_err(|error| error.without_effect(&events))?;
    let (history, key) = begun.map_err(|problem| not_of_one_history(folder, &problem))?;
    for follower in &followers {
        let marked = follower.execute("UPDATE installation SET history_id = ?1", [history.id().as_bytes()]);
        marked.map_err(|error| TransactionError::from(error).without_effect(follower))?;
    }
    Ok(TokenIssuer::new(history, &key))
}

fn not_of_one_history(folder: &Path, problem: &str) -> PortError {
    let folder = folder.display();
    PortError::operator(format!(
        "{problem}: events.db in {folder} is older than the files beside it, or of another folder. Put back the \
         events.db that belongs to them, with its events.db-wal. To go on with the events of this events.db, without \
         the commands that were acknowledged after them: `diptych rebase --data {folder}`, and start again"
    ))
}

/// Begins the next history if everything that the log and the views have is in the write database. Returns the problem
/// otherwise.
fn begin_next(
    events: &mut Connection,
    [log, views]: &[Connection; 2],
) -> Result<Result<(History, TokenKey), String>, TransactionError> {
    let transaction = Transaction::new_unchecked(events, TransactionBehavior::Immediate)?;
    let last = last_position(&transaction)?;
    let stored = stored_history(&transaction)?;
    let mut history = stored.clone().unwrap_or_else(|| History::new(HistoryId::random()));
    if stored.is_some() {
        history.renew(HistoryId::random(), last);
    }
    if let Some(problem) = problem(&transaction, log, views, &history)? {
        return Ok(Err(problem));
    }
    store(&transaction, &history)?;
    let key = token_key(&transaction)?;
    transaction.commit()?;
    Ok(Ok((history, key)))
}

/// Returns what the log or the views have, and the write database does not.
fn problem(
    events: &Connection,
    log: &Connection,
    views: &Connection,
    history: &History,
) -> Result<Option<String>, TransactionError> {
    let last = last_position(events)?;
    if let Some(record) = unknown_record(events, log)? {
        return Ok(Some(format!("log.db has {record}, which events.db does not have")));
    }
    if let Some((view, position)) = view_ahead(views, last)? {
        let text =
            format!("view {view} in views.db has the events up to position {position}, and events.db up to {last}");
        return Ok(Some(text));
    }
    let followers = [("log.db", log, newest_on_log(log)?), ("views.db", views, newest_in_views(views)?)];
    for (name, follower, newest) in followers {
        let Some(id) = followed_history(follower)? else { continue };
        if history.comparison(id, newest) != HistoryComparison::Shared {
            let text =
                format!("{name} follows the history {id} up to position {newest}, which events.db does not have");
            return Ok(Some(text));
        }
    }
    Ok(None)
}

fn last_position(events: &Connection) -> Result<Position, TransactionError> {
    events.query_row("SELECT COALESCE(MAX(position), 0) FROM events", [], |found| Ok(row::position(found, 0)))?
}

fn newest_on_log(log: &Connection) -> Result<Position, TransactionError> {
    let newest = "SELECT COALESCE(MAX(position), 0) FROM partition_ends
                  JOIN records ON records.partition = partition_ends.partition AND record_offset = last_event_offset";
    log.query_row(newest, [], |found| Ok(row::position(found, 0)))?
}

fn newest_in_views(views: &Connection) -> Result<Position, TransactionError> {
    views.query_row("SELECT COALESCE(MAX(position), 0) FROM progress", [], |found| Ok(row::position(found, 0)))?
}

/// Returns the history that a file follows; `None` in a file of an older version, or a new one.
fn followed_history(follower: &Connection) -> Result<Option<HistoryId>, TransactionError> {
    let id: Option<[u8; 16]> = follower.query_row("SELECT history_id FROM installation", [], |row| row.get(0))?;
    Ok(id.map(HistoryId::from_bytes))
}

fn stored_history(events: &Connection) -> Result<Option<History>, TransactionError> {
    let mut select = events.prepare("SELECT history_id, begins_after FROM histories ORDER BY history_number")?;
    let mut spans = Vec::new();
    let mut rows = select.query([])?;
    while let Some(found) = rows.next()? {
        spans.push(HistorySpan { id: HistoryId::from_bytes(found.get(0)?), begins_after: row::position(found, 1)? });
    }
    Ok(History::from_spans(spans))
}

/// Stores the current history, and deletes those that are no longer kept.
fn store(events: &Connection, history: &History) -> Result<(), TransactionError> {
    let HistorySpan { id, begins_after } = history.current();
    events.execute(
        "INSERT INTO histories (history_id, begins_after) VALUES (?1, ?2)",
        params![id.as_bytes(), begins_after.as_i64()],
    )?;
    events.execute(
        "DELETE FROM histories WHERE history_number <= (SELECT MAX(history_number) FROM histories) - ?1",
        [i64::try_from(History::SPANS_MAX).unwrap_or(i64::MAX)],
    )?;
    Ok(())
}

/// Returns the key of tokens, and makes it if there is none.
fn token_key(events: &Connection) -> Result<TokenKey, TransactionError> {
    let stored: Option<[u8; 32]> = events.query_row("SELECT token_key FROM installation", [], |row| row.get(0))?;
    if let Some(bytes) = stored {
        return Ok(TokenKey::from_bytes(bytes));
    }
    let key = TokenKey::random();
    events.execute("UPDATE installation SET token_key = ?1", [key.as_bytes()])?;
    Ok(key)
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
fn view_ahead(views: &Connection, last: Position) -> Result<Option<(String, i64)>, TransactionError> {
    let ahead = views
        .query_row("SELECT view, position FROM progress WHERE position > ?1 LIMIT 1", [last.as_i64()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    Ok(ahead)
}

/// Ends a suspension of appends. Returns the position of the last event.
fn resume(events: &Connection, folder: &Path) -> Result<Position, TransactionError> {
    let is_current: bool =
        events.query_row("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'histories')", [], |found| {
            found.get(0)
        })?;
    if !is_current {
        let folder = folder.display();
        let message = format!(
            "events.db in {folder} is of an older version: start `diptych dev --data {folder}` once, which migrates \
             it, and repeat the rebase"
        );
        return Err(PortError::operator(message).into());
    }
    events.execute("UPDATE installation SET suspended_because = NULL", [])?;
    last_position(events)
}

/// Goes on with the events of a folder's write database, whatever its log and views have: deletes these two, and the
/// next start makes them anew. No process may use the folder.
///
/// # Errors
/// If the folder has no write database, or cannot be changed.
pub fn rebase(folder: &Path) -> PortResult<RebaseSummary> {
    let path = folder.join(EVENTS);
    if !path.is_file() {
        let message = format!("{} has no {EVENTS}: give the folder of `diptych dev --data DIR`", folder.display());
        return Err(PortError::operator(message));
    }
    let has_log = log_path(&path).exists();
    let events = open_beside(&path)?;
    let last_position = resume(&events, folder).map_err(|error| error.without_effect(&events))?;
    if !has_log {
        check_closed(&events)?;
    }
    // Closing the connection moves everything from the write-ahead log into the file.
    set_closed(&events);
    drop(events);
    for name in FOLLOWERS {
        for suffix in ["", "-wal", "-shm"] {
            files::remove(&folder.join(format!("{name}{suffix}")))?;
        }
    }
    Ok(RebaseSummary { last_position })
}
