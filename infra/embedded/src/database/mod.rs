//! One SQLite database: in memory behind a lock, or a file behind threads of its own.

mod checkpoint;
mod error;
mod file;
mod migration;
pub(crate) mod row;
mod signal;
mod worker;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use diptych_kernel::{
    Partitions,
    ports::{PortError, PortResult},
};
use parking_lot::Mutex;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::storage::Storage;
pub(crate) use error::Trouble;
use error::failed_commit;
use file::FileDatabase;
pub(crate) use migration::Migration;
pub(crate) use signal::Signals;

/// What tells one database from another.
pub(crate) struct Blueprint {
    /// The name of its file.
    pub(crate) file_name: &'static str,
    /// Its migrations, in order.
    pub(crate) migrations: &'static [Migration],
    /// Whether every commit waits for the disk. Without it a commit survives the process, but not the machine.
    pub(crate) waits_for_disk: bool,
    /// How much of the file the writing connection keeps in memory, in KiB.
    pub(crate) writer_cache_kib: u32,
}

/// A database. Clones share it.
#[derive(Clone)]
pub(crate) struct Database {
    engine: Engine,
    signals: Arc<Signals>,
}

#[derive(Clone)]
enum Engine {
    /// Work runs inline, so it needs no other thread and no time goes by.
    Memory(Arc<Mutex<Connection>>),
    File(Arc<FileDatabase>),
}

impl Database {
    /// Opens the database of this blueprint in a place.
    pub(crate) fn open(storage: &Storage, blueprint: &Blueprint, partitions: Partitions) -> PortResult<Self> {
        match storage {
            Storage::Memory => {
                let mut connection = Connection::open_in_memory()
                    .map_err(|error| PortError::operator("cannot open a database in memory").caused_by(error))?;
                file::prepare_cache(&connection);
                migration::migrate(&mut connection, blueprint, partitions)?;
                let engine = Engine::Memory(Arc::new(Mutex::new(connection)));
                Ok(Self { engine, signals: Arc::new(Signals::default()) })
            }
            Storage::Directory(folder) => {
                let file = FileDatabase::open(folder, blueprint, partitions)?;
                let signals = Signals::of_file(file.path());
                Ok(Self { engine: Engine::File(Arc::new(file)), signals })
            }
        }
    }

    /// What handles of this process on this database tell each other.
    pub(crate) fn signals(&self) -> &Arc<Signals> {
        &self.signals
    }

    /// Whether handles outside this process, which do not share [`Database::signals`], are possible.
    pub(crate) fn may_have_strangers(&self) -> bool {
        matches!(self.engine, Engine::File(_))
    }

    /// Runs `work` on one state of the database, which contains every commit acknowledged before.
    pub(crate) async fn read<T, W>(&self, work: W) -> PortResult<T>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> Result<T, Trouble> + Send + 'static,
    {
        let work = |connection: &mut Connection| in_read_transaction(connection, work);
        match &self.engine {
            Engine::Memory(connection) => guarded(&mut connection.lock(), work),
            Engine::File(file) => file.read(work).await,
        }
    }

    /// Runs `work` in a transaction that keeps other writers out, and commits it. When `work` fails it leaves nothing.
    pub(crate) async fn write<T, W>(&self, work: W) -> PortResult<T>
    where
        T: Send + 'static,
        W: FnOnce(&Transaction<'_>) -> Result<T, Trouble> + Send + 'static,
    {
        self.write_then(work, |_: &mut T| ()).await
    }

    /// [`Database::write`], and `then` once it is committed, also when nobody waits for the result any more.
    pub(crate) async fn write_then<T, W, A>(&self, work: W, then: A) -> PortResult<T>
    where
        T: Send + 'static,
        W: FnOnce(&Transaction<'_>) -> Result<T, Trouble> + Send + 'static,
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
        }
    }

    /// [`Database::write`], whose commit survives the process but not the machine: for what can be found out again.
    pub(crate) async fn write_lightly<T, W>(&self, work: W) -> PortResult<T>
    where
        T: Send + 'static,
        W: FnOnce(&Transaction<'_>) -> Result<T, Trouble> + Send + 'static,
    {
        match &self.engine {
            Engine::File(file) if file.waits_for_disk() => {
                file.write(|connection| file::without_waiting(connection, |c| in_write_transaction(c, work))).await
            }
            _ => self.write(work).await,
        }
    }

    /// [`Database::write_then`] for what nobody waits for: it may come to nothing where the queue is full. It need not survive the
    /// machine.
    pub(crate) fn write_detached<T, W, A>(&self, work: W, then: A)
    where
        W: FnOnce(&Transaction<'_>) -> Result<T, Trouble> + Send + 'static,
        A: FnOnce(&mut T) + Send + 'static,
    {
        let work =
            |connection: &mut Connection| in_write_transaction(connection, work).map(|mut value| then(&mut value));
        let done = match &self.engine {
            Engine::Memory(connection) => guarded(&mut connection.lock(), work),
            Engine::File(file) if file.waits_for_disk() => {
                file.write_detached(|connection| file::without_waiting(connection, work))
            }
            Engine::File(file) => file.write_detached(work),
        };
        if let Err(error) = done {
            tracing::warn!(%error, "could not write on the side");
        }
    }
}

fn in_read_transaction<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Connection) -> Result<T, Trouble>,
) -> PortResult<T> {
    let transaction = connection.transaction().map_err(|error| Trouble::from(error).without_effect())?;
    // Dropping it ends it, and there is nothing to keep.
    work(&transaction).map_err(Trouble::without_effect)
}

fn in_write_transaction<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, Trouble>,
) -> PortResult<T> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(|error| Trouble::from(error).without_effect())?;
    let value = work(&transaction).map_err(Trouble::without_effect)?;
    transaction.commit().map_err(failed_commit)?;
    Ok(value)
}

/// Turns a panic of `work` into an error, so that one caller's bug does not take the database away from all others. Its transaction is
/// rolled back while the panic unwinds.
fn guarded<T>(connection: &mut Connection, work: impl FnOnce(&mut Connection) -> PortResult<T>) -> PortResult<T> {
    catch_unwind(AssertUnwindSafe(|| work(connection)))
        .unwrap_or_else(|_| Err(PortError::unknown("a statement panicked; the panic is in the log")))
}
