//! Database file with one writer thread and two reader threads.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use diptych_kernel::{Partitions, ports::PortResult};
use rusqlite::{Connection, OpenFlags};

use super::{
    DatabaseSpec,
    checkpoint::{BUSY_TIMEOUT, Checkpoints, LOG_BYTES_KEPT_MAX},
    error::{TransactionError, failed_commit, failed_open},
    guarded, marker, migration,
    worker::ConnectionThreads,
};
use crate::folder::{ReadOnlyFolder, files, log_path};

const READERS: usize = 2;

/// Prepared statements cached per connection: more than any of the databases uses, with room for the tables of views.
const STATEMENTS_MAX: usize = 128;

/// Length of the write-ahead log, in pages of 4 KiB, at which a commit runs the checkpoint itself, because the
/// checkpoint thread cannot keep up.
const CHECKPOINT_PAGES: u32 = 32_000;

/// Database file and the threads that use it. Dropping it finishes the queued work and closes the file.
pub(super) struct FileDatabase {
    path: PathBuf,
    syncs_commits: bool,
    checkpoints: Arc<Checkpoints>,
    readers: ConnectionThreads,
    /// Runs `checkpoints`.
    _checkpointer: ConnectionThreads,
    /// Dropped last, as it marks the file as closed.
    writer: ConnectionThreads,
}

impl FileDatabase {
    pub(super) fn open(directory: &Path, spec: &DatabaseSpec, partitions: Partitions) -> PortResult<Self> {
        files::create_folder(directory)?;
        let canonical = directory.canonicalize();
        let directory = canonical.map_err(|error| files::io_error("cannot use the folder", directory, error))?;
        let path = directory.join(spec.file_name);

        // SQLite does not wait when two processes switch a new file to WAL at the same time, so they take turns with a
        // lock file.
        let lock_path = directory.join("opening.lock");
        let opening_lock = files::open_lock_file(&lock_path)?;
        opening_lock.lock().map_err(|error| files::io_error("cannot lock", &lock_path, error))?;
        files::create_file(&path)?;
        let has_log = log_path(&path).exists();
        let mut writer = open_writer(&path, spec).map_err(|error| failed_open(&path, error))?;
        migration::migrate(&mut writer, spec, partitions)?;
        if spec.marks_open {
            if !has_log {
                marker::check_closed(&writer)?;
            }
            marker::set_open(&writer)?;
        }
        let others = (0..READERS).map(|_| open_reader(&path)).chain([open_checkpointer(&path)]);
        let mut readers = others.collect::<Result<Vec<_>, _>>().map_err(|error| failed_open(&path, error))?;
        let checkpointer: Vec<_> = readers.pop().into_iter().collect();
        drop(opening_lock);

        let name = spec.file_name.trim_end_matches(".db");
        let at_end = if spec.marks_open { marker::set_closed } else { |_: &Connection| () };
        let writer = ConnectionThreads::start_with_end(&format!("{name}-write"), vec![writer], at_end)?;
        let checkpointer = ConnectionThreads::start(&format!("{name}-wal"), checkpointer)?;
        Ok(Self {
            readers: ConnectionThreads::start(&format!("{name}-read"), readers)?,
            checkpoints: Arc::new(Checkpoints::new(&checkpointer, &writer)),
            writer,
            _checkpointer: checkpointer,
            syncs_commits: spec.syncs_commits,
            path,
        })
    }

    /// Returns whether commits wait for the disk by default.
    pub(super) fn syncs_commits(&self) -> bool {
        self.syncs_commits
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) async fn read<T, W>(&self, work: W) -> PortResult<T>
    where
        T: Send + 'static,
        W: FnOnce(&mut Connection) -> PortResult<T> + Send + 'static,
    {
        self.readers.run(work).await
    }

    pub(super) async fn write<T, W>(&self, work: W) -> PortResult<T>
    where
        T: Send + 'static,
        W: FnOnce(&mut Connection) -> PortResult<T> + Send + 'static,
    {
        self.writer.run(self.with_checkpoints(work)).await
    }

    pub(super) fn write_detached<W>(&self, work: W) -> PortResult<()>
    where
        W: FnOnce(&mut Connection) -> PortResult<()> + Send + 'static,
    {
        self.writer.queue().run_detached(self.with_checkpoints(work))
    }

    /// Gives the space of the write-ahead log back if it is longer than usual, in the background.
    pub(super) fn shrink_log(&self) {
        if log_path(&self.path).metadata().is_ok_and(|log| log.len() > LOG_BYTES_KEPT_MAX) {
            self.checkpoints.start_truncation();
        }
    }

    fn with_checkpoints<T, W>(&self, work: W) -> impl FnOnce(&mut Connection) -> PortResult<T> + Send + 'static
    where
        T: Send + 'static,
        W: FnOnce(&mut Connection) -> PortResult<T> + Send + 'static,
    {
        let checkpoints = Arc::clone(&self.checkpoints);
        move |connection| {
            let result = work(connection);
            checkpoints.after_write(connection);
            result
        }
    }
}

/// Sets the capacity of the cache of prepared statements.
pub(super) fn prepare_cache(connection: &Connection) {
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
}

/// Runs `work` on a connection whose commits wait for the disk, without waiting for the disk.
pub(super) fn without_sync<T>(
    connection: &mut Connection,
    work: impl FnOnce(&mut Connection) -> PortResult<T>,
) -> PortResult<T> {
    let set = |connection: &Connection, level: &str| connection.pragma_update(None, "synchronous", level);
    set(connection, "NORMAL").map_err(|error| TransactionError::from(error).without_effect(connection))?;
    // A panic must not leave the setting changed for later work.
    let result = guarded(connection, work);
    set(connection, "FULL").map_err(|error| failed_commit(connection, error))?;
    result
}

fn open_writer(path: &Path, spec: &DatabaseSpec) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    prepare_cache(&connection);
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", if spec.syncs_commits { "FULL" } else { "NORMAL" })?;
    connection.pragma_update(None, "cache_size", -i64::from(spec.writer_cache_kib))?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", i64::try_from(LOG_BYTES_KEPT_MAX).unwrap_or(i64::MAX))?;
    // Opening the file recovered frames that a killed process had written but not synced. They must reach the disk
    // before they are used, or a power failure could still lose them.
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    Ok(connection)
}

pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    // Not opened read-only, because in WAL mode a reader writes to the shared WAL index.
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    prepare_cache(&connection);
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "cache_size", -1_000)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "mmap_size", 0)?;
    Ok(connection)
}

pub(super) fn open_beside(path: &Path) -> rusqlite::Result<Connection> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

fn open_checkpointer(path: &Path) -> rusqlite::Result<Connection> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "cache_size", -100)?;
    Ok(connection)
}

/// Opens a database for reading only. See [`ReadOnlyFolder::connect`].
pub(super) fn open_read_only(folder: &ReadOnlyFolder, spec: &DatabaseSpec) -> PortResult<Connection> {
    let path = folder.path().join(spec.file_name);
    let opened = folder.connect(spec.file_name).and_then(|connection| {
        prepare_cache(&connection);
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        Ok(connection)
    });
    opened.map_err(|error| failed_open(&path, error))
}
