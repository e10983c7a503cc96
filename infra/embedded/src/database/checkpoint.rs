//! Moving the write-ahead log into the database file, beside the writer.
//!
//! A commit that finds the log long would do it itself, and everybody behind it would wait for thousands of scattered pages to reach the
//! disk. So a thread of its own does most of it while the writer goes on, again and again until little is left. That little the
//! writer does between two transactions, because only a log of which nothing is left starts again from its beginning.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use diptych_kernel::ports::PortResult;
use rusqlite::Connection;

use super::{
    error::Trouble,
    worker::{WeakQueue, Workers},
};

/// How much is written between two rounds of work, counted in rows, with some for each commit: about that many pages of the log.
const EFFORT_MAX: u64 = 4_000;

/// What a commit costs beside its rows: the ends of tables that every commit changes.
const EFFORT_PER_COMMIT: u64 = 3;

/// Few enough pages for the writer to move.
const PAGES_LEFT_MAX: i64 = 256;

/// More rounds than this do not help: the writer is as fast.
const ROUNDS_MAX: usize = 4;

/// Tells when it is time.
pub(super) struct Checkpoints {
    thread: WeakQueue,
    writer: WeakQueue,
    rows_before: AtomicU64,
    effort: AtomicU64,
    is_running: Arc<AtomicBool>,
}

impl Checkpoints {
    /// For the log of a file that `writer` writes, moved by `thread`.
    pub(super) fn new(thread: &Workers, writer: &Workers) -> Self {
        Self {
            thread: thread.queue(),
            writer: writer.queue(),
            rows_before: AtomicU64::new(0),
            effort: AtomicU64::new(0),
            is_running: Arc::default(),
        }
    }

    /// To be called on the writer's connection after each of its transactions.
    pub(super) fn after_write(&self, connection: &Connection) {
        let rows = connection.total_changes();
        let new_rows = rows.saturating_sub(self.rows_before.swap(rows, Ordering::Relaxed));
        let effort = EFFORT_PER_COMMIT + new_rows;
        if self.effort.fetch_add(effort, Ordering::Relaxed) + effort < EFFORT_MAX {
            return;
        }
        if self.is_running.swap(true, Ordering::AcqRel) {
            return;
        }
        self.effort.store(0, Ordering::Relaxed);
        let (writer, running) = (self.writer.clone(), Running(Arc::clone(&self.is_running)));
        let work = move |connection: &mut Connection| {
            let _running = running;
            if is_little_left(connection)? {
                // Where the writer has too much to do, the next round comes to the same.
                let _full = writer.run_detached(|connection| checkpoint(connection).map(|_| ()));
            }
            Ok(())
        };
        // Where it is closing, closing does it.
        let _closing = self.thread.run_detached(work);
    }
}

/// Clears the mark when the work is done, or was dropped undone.
struct Running(Arc<AtomicBool>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Moves pages until the writer adds few while one round lasts.
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

/// Moves what can be moved without making anybody wait. Returns how many pages of the log are in the file.
fn checkpoint(connection: &Connection) -> PortResult<i64> {
    connection
        .prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")
        .and_then(|mut pragma| pragma.query_row([], |row| row.get(2)))
        .map_err(|error| Trouble::from(error).without_effect())
}
