//! Wake-up signals between handles in one process.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc, LazyLock, Weak,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};

/// Interval at which a waiting handle polls for the writes of other processes, which cannot wake it up.
const CROSS_PROCESS_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Signals by open file, so that all handles on a file in this process share them.
static OPEN_FILES: LazyLock<Mutex<HashMap<PathBuf, Weak<Signals>>>> = LazyLock::new(Mutex::default);

/// Signals of one database.
#[derive(Default)]
pub(crate) struct Signals {
    /// Announces appends and saves.
    pub(crate) changed: Signal,
    /// The highest number that this process knows of: a position or a count of saves.
    highest: AtomicI64,
}

impl Signals {
    /// Returns the signals of a file, by its canonical path.
    pub(super) fn of_file(path: &Path) -> Arc<Self> {
        let mut open_files = OPEN_FILES.lock();
        open_files.retain(|_, signals| signals.strong_count() > 0);
        if let Some(signals) = open_files.get(path).and_then(Weak::upgrade) {
            return signals;
        }
        let signals = Arc::new(Self::default());
        open_files.insert(path.to_owned(), Arc::downgrade(&signals));
        signals
    }

    /// Makes handles that are opened from now on share no signals with earlier ones, as if they were in another
    /// process.
    #[cfg(test)]
    pub(crate) fn forget_open_files() {
        OPEN_FILES.lock().clear();
    }

    /// Returns the highest known number.
    pub(crate) fn highest(&self) -> i64 {
        self.highest.load(Ordering::Acquire)
    }

    /// Records a number, and announces a change if it is the highest so far.
    pub(crate) fn raise(&self, number: i64) {
        if self.highest.fetch_max(number, Ordering::AcqRel) < number {
            self.changed.announce();
        }
    }
}

/// Counter that tasks can wait on. Every waiting task receives every announcement.
pub(crate) struct Signal(watch::Sender<u64>);

impl Default for Signal {
    fn default() -> Self {
        // Starts at 1, so that a reader with `seen` = 0 does not wait.
        Self(watch::Sender::new(1))
    }
}

impl Signal {
    /// Returns the number of announcements.
    pub(crate) fn count(&self) -> u64 {
        *self.0.borrow()
    }

    /// Wakes up all waiting tasks.
    pub(crate) fn announce(&self) {
        self.0.send_modify(|count| *count += 1);
    }

    /// Waits until the count is no longer `seen`, or until `deadline`. With `other_processes` it also returns after a
    /// short interval, so that the caller can poll the database.
    pub(crate) async fn wait(&self, seen: u64, deadline: Instant, other_processes: bool) {
        let until = if other_processes { deadline.min(Instant::now() + CROSS_PROCESS_POLL_INTERVAL) } else { deadline };
        let mut counts = self.0.subscribe();
        // A timeout is not an error here.
        let _elapsed = tokio::time::timeout_at(until, counts.wait_for(|count| *count != seen)).await;
    }
}
