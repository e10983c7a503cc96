//! How handles in one process wake each other up.

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

/// How often a waiting handle looks for what other processes wrote: they cannot wake it up.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The files that this process has open, so that a second handle on a file shares the first one's signals.
static OPEN_FILES: LazyLock<Mutex<HashMap<PathBuf, Weak<Signals>>>> = LazyLock::new(Mutex::default);

/// The signals of one database.
#[derive(Default)]
pub(crate) struct Signals {
    /// Something was appended, or saved.
    pub(crate) changed: Signal,
    /// The highest number given out that this process knows of: a position, or a sequence.
    highest: AtomicI64,
}

impl Signals {
    /// Those of a file, by its canonical path.
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

    /// Lets handles that are opened from now on share nothing with those before, as if they were in another process.
    #[cfg(test)]
    pub(crate) fn forget_open_files() {
        OPEN_FILES.lock().clear();
    }

    /// The highest number known.
    pub(crate) fn highest(&self) -> i64 {
        self.highest.load(Ordering::Acquire)
    }

    /// Learns of a number and wakes everybody up if it is new.
    pub(crate) fn raise(&self, number: i64) {
        if self.highest.fetch_max(number, Ordering::AcqRel) < number {
            self.changed.announce();
        }
    }
}

/// A counter that can be waited on. No announcement is lost, however many wait.
pub(crate) struct Signal(watch::Sender<u64>);

impl Default for Signal {
    fn default() -> Self {
        // One, so that who has seen nothing has something to see.
        Self(watch::Sender::new(1))
    }
}

impl Signal {
    /// How often it was announced.
    pub(crate) fn count(&self) -> u64 {
        *self.0.borrow()
    }

    /// Wakes everybody up.
    pub(crate) fn announce(&self) {
        self.0.send_modify(|count| *count += 1);
    }

    /// Returns when the count is no longer `seen`, or at `deadline`. With `strangers` it also returns soon for no reason, so that the
    /// caller looks for itself.
    pub(crate) async fn wait(&self, seen: u64, deadline: Instant, strangers: bool) {
        let until = if strangers { deadline.min(Instant::now() + LOOK_EVERY) } else { deadline };
        let mut counts = self.0.subscribe();
        // Both ends are fine: it changed, or the time is up.
        let _elapsed = tokio::time::timeout_at(until, counts.wait_for(|count| *count != seen)).await;
    }
}
