//! A database in a file: one thread writes, two read.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use diptych_kernel::{
    Partitions,
    ports::{PortError, PortResult},
};
use rusqlite::{Connection, OpenFlags};

use super::{
    Blueprint,
    checkpoint::Checkpoints,
    error::{Trouble, failed_commit},
    guarded, migration,
    worker::Workers,
};

const READERS: usize = 2;

/// How long a statement waits for another process that writes.
const BUSY_PATIENCE: Duration = Duration::from_secs(5);

/// Statements kept ready per connection: more than any of the databases uses, with room for the tables of views.
const STATEMENTS_MAX: usize = 128;

/// How many pages of 4 KiB the write-ahead log has when a commit moves it into the file after all, because the thread that does it
/// otherwise cannot keep up.
const CHECKPOINT_PAGES: u32 = 32_000;

/// A database file and the threads that work on it. Dropping it finishes what is queued and closes the file.
pub(super) struct FileDatabase {
    path: PathBuf,
    waits_for_disk: bool,
    readers: Workers,
    writer: Workers,
    checkpoints: Arc<Checkpoints>,
    /// The thread of `checkpoints`.
    _checkpointer: Workers,
}

impl FileDatabase {
    pub(super) fn open(folder: &Path, blueprint: &Blueprint, partitions: Partitions) -> PortResult<Self> {
        fs::create_dir_all(folder).map_err(|error| unusable(folder).caused_by(error))?;
        let folder = folder.canonicalize().map_err(|error| unusable(folder).caused_by(error))?;
        let path = folder.join(blueprint.file_name);

        // SQLite does not wait when two processes switch a new file to WAL at the same time, so they take turns.
        let turn = File::create(folder.join("opening.lock")).map_err(|error| unusable(&folder).caused_by(error))?;
        turn.lock().map_err(|error| unusable(&folder).caused_by(error))?;
        let mut writer = open_writer(&path, blueprint).map_err(|error| unopened(&path, error))?;
        migration::migrate(&mut writer, blueprint, partitions)?;
        let others = (0..READERS).map(|_| open_reader(&path)).chain([open_checkpointer(&path)]);
        let mut readers = others.collect::<Result<Vec<_>, _>>().map_err(|error| unopened(&path, error))?;
        let checkpointer: Vec<_> = readers.pop().into_iter().collect();
        drop(turn);

        let name = blueprint.file_name.trim_end_matches(".db");
        let writer = Workers::start(&format!("{name}-write"), vec![writer])?;
        let checkpointer = Workers::start(&format!("{name}-tidy"), checkpointer)?;
        Ok(Self {
            readers: Workers::start(&format!("{name}-read"), readers)?,
            checkpoints: Arc::new(Checkpoints::new(&checkpointer, &writer)),
            writer,
            _checkpointer: checkpointer,
            waits_for_disk: blueprint.waits_for_disk,
            path,
        })
    }

    /// Whether commits wait for the disk, unless they are told not to.
    pub(super) fn waits_for_disk(&self) -> bool {
        self.waits_for_disk
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

/// Makes room for prepared statements.
pub(super) fn prepare_cache(connection: &Connection) {
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
}

/// Runs `work` on the connection, whose commits wait for the disk otherwise, without that.
pub(super) fn without_waiting<T>(
    connection: &mut Connection,
    work: impl FnOnce(&mut Connection) -> PortResult<T>,
) -> PortResult<T> {
    let set = |connection: &Connection, level: &str| connection.pragma_update(None, "synchronous", level);
    set(connection, "NORMAL").map_err(|error| Trouble::from(error).without_effect())?;
    // A panic must not leave it so for those who come after.
    let result = guarded(connection, work);
    set(connection, "FULL").map_err(failed_commit)?;
    result
}

fn open_writer(path: &Path, blueprint: &Blueprint) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    prepare_cache(&connection);
    connection.busy_timeout(BUSY_PATIENCE)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", if blueprint.waits_for_disk { "FULL" } else { "NORMAL" })?;
    connection.pragma_update(None, "cache_size", -i64::from(blueprint.writer_cache_kib))?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    // What a killed process had written but not yet seen on the disk was read back just now. It must be on the disk before anybody
    // acts on it, or a power failure could still take it away.
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    Ok(connection)
}

fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    // Not opened read-only: in WAL mode a reader writes to the shared index of the log.
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    prepare_cache(&connection);
    connection.busy_timeout(BUSY_PATIENCE)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "cache_size", -1_000)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "mmap_size", 0)?;
    Ok(connection)
}

fn open_checkpointer(path: &Path) -> rusqlite::Result<Connection> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_PATIENCE)?;
    connection.pragma_update(None, "cache_size", -100)?;
    Ok(connection)
}

fn unusable(folder: &Path) -> PortError {
    PortError::operator(format!("cannot use folder {}", folder.display()))
}

fn unopened(path: &Path, error: rusqlite::Error) -> PortError {
    PortError::operator(format!("cannot open {}", path.display())).caused_by(error)
}
