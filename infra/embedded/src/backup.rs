//! Backup of a data folder, also while a process uses it.
//!
//! The files are copied one after another, so their states are of different moments. Views, then log, then events: what
//! a view holds is on the copied log or in the copied events, and every record of the copied log is in the copied
//! events, as at run time, where a view may be behind its log and the log behind the events. The other order would copy
//! events to the log and the views that the copied write database does not have; positions would be assigned twice. The
//! queue comes before the events too: what was queued and has run since is in them, with its outcome. After a restore
//! the relay publishes what the copied log lacks, and the projector applies it.
//!
//! `VACUUM INTO` reads one snapshot of a file, with its write-ahead log, however many commits follow, and blocks none
//! of them. The copy is one file without a write-ahead log.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use diptych_kernel::{
    Position, Timestamp,
    ports::{PortError, PortResult},
};
use rusqlite::Connection;

use crate::{
    database::{self, TransactionError, check_closed},
    folder::{ReadOnlyFolder, files, log_path},
};

/// The databases, in the order of copying. Without `events.db`, which is complete at last, a folder cannot be used.
const FILES: [&str; 4] = ["views.db", "log.db", "queue.db", EVENTS];
const EVENTS: &str = "events.db";

/// Result of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupSummary {
    /// Position of the newest event in the copy; the start if it has none.
    pub last_position: Position,
    /// Time of the newest event in the copy.
    pub last_event_at: Option<Timestamp>,
    /// Size of the copy.
    pub bytes: u64,
}

/// Copies the data folder `source` to `target`, which must be absent or empty. Nothing in `source` is changed.
/// `accepts_missing_log` copies also an `events.db` whose write-ahead log is missing, without the newest events.
///
/// # Errors
/// If `source` is no complete data folder, `target` is not empty, or a file cannot be read or written.
pub fn back_up(source: &Path, target: &Path, accepts_missing_log: bool) -> PortResult<BackupSummary> {
    let source = ReadOnlyFolder::open(source)?;
    if !source.path().join(EVENTS).is_file() {
        let message =
            format!("{} has no {EVENTS}: give the folder of `diptych dev --data DIR`", source.path().display());
        return Err(PortError::operator(message));
    }
    create_target(target)?;
    let mut bytes = 0;
    for name in FILES.into_iter().filter(|name| source.path().join(name).is_file()) {
        bytes += copy(&source, name, target, accepts_missing_log)?;
    }
    sync(target)?;
    let events = database::open_reader(&target.join(EVENTS))?;
    let (last_position, last_event_at) = newest_event(&events).map_err(|error| error.without_effect(&events))?;
    Ok(BackupSummary { last_position, last_event_at, bytes })
}

fn create_target(target: &Path) -> PortResult<()> {
    files::create_folder(target)?;
    let mut entries = fs::read_dir(target).map_err(|error| files::io_error("cannot read the folder", target, error))?;
    if entries.next().is_some() {
        let message = format!("the folder {} is not empty: a backup is made into a new one", target.display());
        return Err(PortError::operator(message));
    }
    Ok(())
}

/// Copies one database; returns the size of the copy. Until it is complete and on disk, it has another name.
fn copy(source: &ReadOnlyFolder, name: &str, target: &Path, accepts_missing_log: bool) -> PortResult<u64> {
    let (partial, complete) = (target.join(format!("{name}.partial")), target.join(name));
    files::create_file(&partial)?;
    let path = source.path().join(name);
    let connection = source.connect(name).map_err(|error| database::failed_open(&path, error))?;
    let can_lack_log = !source.is_in_use() && !log_path(&path).exists();
    if name == EVENTS && can_lack_log && !accepts_missing_log {
        check_closed(&connection)?;
    }
    // SQLite opens the file by its text, so a path that is not UTF-8 cannot be written to.
    let partial_text = partial.to_str().ok_or_else(|| {
        PortError::operator(format!("the path {} is not UTF-8: choose another one", partial.display()))
    })?;
    connection
        .execute("VACUUM INTO ?1", [partial_text])
        .map_err(|error| database::failed_copy(&path, &partial, error))?;
    if name == EVENTS {
        mark_closed(&partial)?;
    }
    sync(&partial)?;
    fs::rename(&partial, &complete).map_err(|error| files::io_error("cannot create", &complete, error))?;
    let size = complete.metadata().map_err(|error| files::io_error("cannot read", &complete, error))?;
    Ok(size.len())
}

/// Marks the copy as closed: it is complete without a write-ahead log.
fn mark_closed(events: &Path) -> PortResult<()> {
    let connection = Connection::open(events).map_err(|error| database::failed_open(events, error))?;
    let marked = connection.execute("UPDATE file_state SET is_open = 0", []);
    marked.map_err(|error| TransactionError::from(error).without_effect(&connection))?;
    Ok(())
}

/// Waits until a file or folder is on disk.
fn sync(path: &Path) -> PortResult<()> {
    let synced = File::open(path).and_then(|file| file.sync_all());
    match synced {
        // Some file systems have no such call for folders.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        synced => synced.map_err(|error| files::io_error("cannot write", path, error)),
    }
}

fn newest_event(events: &Connection) -> Result<(Position, Option<Timestamp>), TransactionError> {
    let mut select = events.prepare("SELECT position, recorded_at FROM events ORDER BY position DESC LIMIT 1")?;
    let mut rows = select.query([])?;
    match rows.next()? {
        Some(row) => Ok((database::row::position(row, 0)?, Some(database::row::timestamp(row, 1)?))),
        None => Ok((Position::START, None)),
    }
}
