//! Checkpoints of the write-ahead log, concurrent with the writer.
//!
//! By default, the commit that finds the log too long runs the checkpoint itself, and all later commits wait until
//! thousands of scattered pages are written. Here a separate thread copies most of the pages while the writer
//! continues, repeatedly until few are left. The writer copies those between two transactions, because the log restarts
//! from its beginning only if no page is left.
//!
//! While a reader keeps an old snapshot, the log only grows. Afterwards the writer's first commit to the restarted log
//! cuts it to [`LOG_BYTES_KEPT_MAX`]; where commits are rare, [`truncate`] does.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use diptych_kernel::ports::PortResult;
use rusqlite::Connection;

use super::{
    error::TransactionError,
    worker::{ConnectionThreads, WeakQueue},
};

/// Time for which a statement waits for another process that writes.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Rows written between two checkpoints, including a fixed number per commit. Corresponds to about as many pages of the
/// log.
const ROWS_PER_CHECKPOINT: u64 = 4_000;

/// Rows counted for each commit, for the last pages of tables that every commit changes.
const ROWS_PER_COMMIT: u64 = 3;

/// Number of pages that the writer may copy itself.
const PAGES_LEFT_MAX: i64 = 256;

/// Largest number of rounds. More do not help, because then the writer is as fast as the checkpoint.
const ROUNDS_MAX: usize = 4;

/// Size to which the write-ahead log is cut when it restarts. More than it has under load, so that it is not cut and
/// extended all the time.
pub(super) const LOG_BYTES_KEPT_MAX: u64 = 8 * 1024 * 1024;

/// Decides when to run a checkpoint.
pub(super) struct Checkpoints {
    thread: WeakQueue,
    writer: WeakQueue,
    rows_before: AtomicU64,
    estimated_rows: AtomicU64,
    is_running: Arc<AtomicBool>,
}

impl Checkpoints {
    /// Creates checkpoints, run by `thread`, for the file that `writer` writes.
    pub(super) fn new(thread: &ConnectionThreads, writer: &ConnectionThreads) -> Self {
        Self {
            thread: thread.queue(),
            writer: writer.queue(),
            rows_before: AtomicU64::new(0),
            estimated_rows: AtomicU64::new(0),
            is_running: Arc::default(),
        }
    }

    /// Counts the rows of a transaction and starts a checkpoint if enough were written. Call it on the writer's
    /// connection after each transaction.
    pub(super) fn after_write(&self, connection: &Connection) {
        let rows = connection.total_changes();
        let new_rows = rows.saturating_sub(self.rows_before.swap(rows, Ordering::Relaxed));
        let estimated_rows = ROWS_PER_COMMIT + new_rows;
        if self.estimated_rows.fetch_add(estimated_rows, Ordering::Relaxed) + estimated_rows < ROWS_PER_CHECKPOINT {
            return;
        }
        if self.is_running.swap(true, Ordering::AcqRel) {
            return;
        }
        self.estimated_rows.store(0, Ordering::Relaxed);
        self.start(|connection| checkpoint(connection).map(|_| ()));
    }

    /// Starts a checkpoint that also empties the log, unless one runs or a reader needs the log.
    pub(super) fn start_truncation(&self) {
        if !self.is_running.swap(true, Ordering::AcqRel) {
            self.start(truncate);
        }
    }

    /// Starts a checkpoint; the writer does the last step.
    fn start(&self, last_step: fn(&mut Connection) -> PortResult<()>) {
        let (writer, running) = (self.writer.clone(), Running(Arc::clone(&self.is_running)));
        let work = move |connection: &mut Connection| {
            let _running = running;
            if is_little_left(connection)? {
                // If the writer's queue is full, the next checkpoint has the same effect.
                let _full = writer.run_detached(last_step);
            }
            Ok(())
        };
        // If the database is closing, SQLite runs a checkpoint on close.
        let _closing = self.thread.run_detached(work);
    }
}

/// Clears the flag when the work is done or dropped.
struct Running(Arc<AtomicBool>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Copies pages until the writer adds only few during one round.
fn is_little_left(connection: &Connection) -> PortResult<bool> {
    let mut before = 0;
    for _ in 0..ROUNDS_MAX {
        let done = checkpoint(connection)?;
        if (0..=PAGES_LEFT_MAX).contains(&(done - before)) {
            return Ok(true);
        }
        before = done;
    }
    Ok(false)
}

/// Copies all pages that can be copied without blocking readers or the writer. Returns the number of log pages copied
/// to the file.
fn checkpoint(connection: &Connection) -> PortResult<i64> {
    connection
        .prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")
        .and_then(|mut pragma| pragma.query_row([], |row| row.get(2)))
        .map_err(|error| TransactionError::from(error).without_effect(connection))
}

/// Copies the last pages and empties the log, if no reader needs it: this does not wait for one.
fn truncate(connection: &mut Connection) -> PortResult<()> {
    let set_wait = |wait| connection.busy_timeout(wait);
    let truncated = set_wait(Duration::ZERO)
        .and_then(|()| connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())))
        .map_err(|error| TransactionError::from(error).without_effect(connection));
    set_wait(BUSY_TIMEOUT).map_err(|error| TransactionError::from(error).without_effect(connection))?;
    truncated
}
