//! SQLite database: in memory behind a lock, or in a file with its own threads.

mod checkpoint;
mod error;
mod file;
mod marker;
mod migration;
pub(crate) mod row;
mod signal;
mod worker;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use diptych_kernel::{
    Partitions,
    ports::{PortError, PortResult},
};
use parking_lot::Mutex;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::{
    folder::{ReadOnlyFolder, log_path},
    storage::Storage,
};
use error::failed_commit;
pub(crate) use error::{TransactionError, failed_copy, failed_open};
use file::FileDatabase;
pub(crate) use marker::{check_closed, set_closed};
pub(crate) use migration::Migration;
pub(crate) use signal::Signals;
use worker::ConnectionThreads;

/// Static properties of one of the databases.
pub(crate) struct DatabaseSpec {
    /// The file name.
    pub(crate) file_name: &'static str,
    /// The migrations, in order.
    pub(crate) migrations: &'static [Migration],
    /// Whether every commit waits for the disk. Without it, a commit survives a crash of the process, but not of the
    /// machine.
    pub(crate) syncs_commits: bool,
    /// Whether table `file_state` tells if the file was closed. See [`marker`].
    pub(crate) marks_open: bool,
    /// Page cache of the writer's connection, in KiB.
    pub(crate) writer_cache_kib: u32,
}

/// Handle to a database. Clones share the database.
#[derive(Clone)]
pub(crate) struct Database {
    engine: Engine,
    signals: Arc<Signals>,
}

#[derive(Clone)]
enum Engine {
    /// Work runs inline on the caller's thread, so that no time passes under a paused clock.
    Memory(Arc<Mutex<Connection>>),
    File(Arc<FileDatabase>),
    /// A file that must not be changed. The folder holds its lock.
    ReadOnly(Arc<ConnectionThreads>, ReadOnlyFolder),
}

impl Database {
    /// Opens a database, and creates it if it does not exist.
    pub(crate) fn open(storage: &Storage, spec: &DatabaseSpec, partitions: Partitions) -> PortResult<Self> {
        match storage {
            Storage::Memory => {
                let mut connection = Connection::open_in_memory()
                    .map_err(|error| PortError::operator("cannot open a database in memory").caused_by(error))?;
                file::prepare_cache(&connection);
                migration::migrate(&mut connection, spec, partitions)?;
                let engine = Engine::Memory(Arc::new(Mutex::new(connection)));
                Ok(Self { engine, signals: Arc::new(Signals::default()) })
            }
            Storage::Directory(directory) => {
                let file = FileDatabase::open(directory, spec, partitions)?;
                let signals = Signals::of_file(file.path());
                Ok(Self { engine: Engine::File(Arc::new(file)), signals })
            }
        }
    }

    /// Opens a database of a folder for reading only. It must exist, and have the current schema.
    pub(crate) fn open_read_only(
        folder: &ReadOnlyFolder,
        spec: &DatabaseSpec,
        partitions: Partitions,
    ) -> PortResult<Self> {
        let connection = file::open_read_only(folder, spec)?;
        migration::check(&connection, spec, partitions)?;
        if spec.marks_open && !folder.is_in_use() && !log_path(&folder.path().join(spec.file_name)).exists() {
            check_closed(&connection)?;
        }
        let thread = ConnectionThreads::start("read-only", vec![connection])?;
        let engine = Engine::ReadOnly(Arc::new(thread), folder.clone());
        Ok(Self { engine, signals: Arc::new(Signals::default()) })
    }

    /// Returns the signals that handles in this process on this database share.
    pub(crate) fn signals(&self) -> &Arc<Signals> {
        &self.signals
    }

    /// Returns whether other processes, which do not share [`Database::signals`], may use the database.
    pub(crate) fn may_have_other_processes(&self) -> bool {
        matches!(self.engine, Engine::File(_))
    }

    /// Gives the space of the write-ahead log back if it is longer than usual, in the background.
    pub(crate) fn shrink_log(&self) {
        if let Engine::File(file) = &self.engine {
            file.shrink_log();
        }
    }

    /// Runs `work` on a snapshot of the database that contains every commit acknowledged before.
    pub(crate) async fn read<T, W>(&self, work: W) -> PortResult<T>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> Result<T, TransactionError> + Send + 'static,
    {
        let work = |connection: &mut Connection| in_read_transaction(connection, work);
        match &self.engine {
            Engine::Memory(connection) => guarded(&mut connection.lock(), work),
            Engine::File(file) => file.read(work).await,
            Engine::ReadOnly(thread, _) => thread.run(work).await,
        }
    }

    /// Runs `work` in an exclusive write transaction, and commits it. If `work` fails, the transaction has no effect.
    pub(crate) async fn write<T, W>(&self, work: W) -> PortResult<T>
    where
        T: Send + 'static,
        W: FnOnce(&Transaction<'_>) -> Result<T, TransactionError> + Send + 'static,
    {
        self.write_then(work, |_: &mut T| ()).await
    }

    /// Like [`Database::write`], but also runs `then` after the commit, even if the caller has dropped the future.
    pub(crate) async fn write_then<T, W, A>(&self, work: W, then: A) -> PortResult<T>
    where
        T: Send + 'static,
        W: FnOnce(&Transaction<'_>) -> Result<T, TransactionError> + Send + 'static,
        A: FnOnce(&mut T) + Send + 'static,
    {
        let work = |connection: &mut Connection| {
            let mut value = in_write_transaction(connection, work)?;
            then(&mut value);
            Ok(value)
        };
        match &self.engine {
            Engine::Memory(connection) => guarded(&mut connection.lock(), work),
            Engine::File(file) => file.write(work).await,
            Engine::ReadOnly(_, folder) => Err(read_only(folder)),
        }
    }

    /// Like [`Database::write`], but the commit survives only a crash of the process, not of the machine. For data that
    /// can be recovered in other ways.
    pub(crate) async fn write_without_sync<T, W>(&self, work: W) -> PortResult<T>
    where
        T: Send + 'static,
        W: FnOnce(&Transaction<'_>) -> Result<T, TransactionError> + Send + 'static,
    {
        match &self.engine {
            Engine::File(file) if file.syncs_commits() => {
                file.write(|connection| file::without_sync(connection, |c| in_write_transaction(c, work))).await
            }
            _ => self.write(work).await,
        }
    }

    /// Like [`Database::write_then`], but in the background: the work is dropped if the queue is full, and its commit
    /// need not survive a crash of the machine.
    pub(crate) fn write_detached<T, W, A>(&self, work: W, then: A)
    where
        W: FnOnce(&Transaction<'_>) -> Result<T, TransactionError> + Send + 'static,
        A: FnOnce(&mut T) + Send + 'static,
    {
        let work =
            |connection: &mut Connection| in_write_transaction(connection, work).map(|mut value| then(&mut value));
        let done = match &self.engine {
            Engine::Memory(connection) => guarded(&mut connection.lock(), work),
            Engine::File(file) if file.syncs_commits() => {
                file.write_detached(|connection| file::without_sync(connection, work))
            }
            Engine::File(file) => file.write_detached(work),
            Engine::ReadOnly(_, folder) => Err(read_only(folder)),
        };
        if let Err(error) = done {
            tracing::warn!(%error, "a background write failed");
        }
    }
}

fn read_only(folder: &ReadOnlyFolder) -> PortError {
    PortError::operator(format!("the folder {} was opened for reading only", folder.path().display()))
}

fn in_read_transaction<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, TransactionError>,
) -> PortResult<T> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Deferred)
        .map_err(|error| TransactionError::from(error).without_effect(connection))?;
    // Dropping the transaction rolls it back; a read has nothing to commit.
    work(&transaction).map_err(|error| error.without_effect(connection))
}

fn in_write_transaction<T>(
    connection: &Connection,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, TransactionError>,
) -> PortResult<T> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)
        .map_err(|error| TransactionError::from(error).without_effect(connection))?;
    let value = work(&transaction).map_err(|error| error.without_effect(connection))?;
    transaction.commit().map_err(|error| failed_commit(connection, error))?;
    Ok(value)
}

/// Turns a panic of `work` into an error, so that a bug in one call does not make the database unavailable to others.
/// Its transaction is rolled back while the panic unwinds.
fn guarded<T>(connection: &mut Connection, work: impl FnOnce(&mut Connection) -> PortResult<T>) -> PortResult<T> {
    catch_unwind(AssertUnwindSafe(|| work(connection)))
        .unwrap_or_else(|_| Err(PortError::unknown("a database call panicked; see the log")))
}

/// Opens a file for reading beside its writer, for one look at it.
pub(crate) fn open_reader(path: &Path) -> PortResult<Connection> {
    file::open_reader(path).map_err(|error| failed_open(path, error))
}

/// Opens a file that exists beside its writer, for a few changes that wait for the disk.
pub(crate) fn open_beside(path: &Path) -> PortResult<Connection> {
    file::open_beside(path).map_err(|error| failed_open(path, error))
}
