//! How those who wait for events learn of them.
//!
//! Handles in the same process share nothing but the server: each is told of its own appends at once, and of others' by a notification, which a
//! connection of its own sends after the commit. A notification inside the transaction would make all appends of the server queue up
//! for one lock. It carries nothing that matters: who was not told finds the events by looking.

mod listener;
mod notifier;

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use diptych_kernel::{Position, ports::PortResult};
use parking_lot::Mutex;
use tokio::{sync::watch, task::AbortHandle, time::Instant};

use crate::{
    PostgresConfig,
    wire::{Connector, Wire},
};

/// The channel of notifications. The payload is the position of the last event.
const CHANNEL: &str = "diptych_events";

/// While it is told of events, a waiting handle looks for them this many times less often.
const LOOK_RARELY: u32 = 10;

/// What is known of the end of the table, and who is to be told.
pub(crate) struct Wake {
    side_line: SideLine,
    notify: bool,
    look_interval: Duration,
    known: Arc<Known>,
    /// The last position that this handle appended, for others.
    appended: watch::Sender<i64>,
    tasks: Mutex<Started>,
}

/// A connection beside the pools, which carries no data.
#[derive(Clone)]
struct SideLine {
    connector: Connector,
    answer_timeout: Duration,
}

/// How long to wait before connecting again. Until then, who waits for events looks for them more often.
const RECONNECT_DELAY: Duration = Duration::from_millis(500);

impl SideLine {
    /// Connects, and does something with the connection until it fails, or until the server is not to be trusted any more. `None` where
    /// that comes first.
    async fn with<T>(&self, work: impl AsyncFnOnce(&Wire) -> Option<T>) -> Option<T> {
        let mut distrusted = self.connector.distrust().watch();
        distrusted.mark_unchanged();
        let work = async {
            let wire = self.answer(self.connector.wire()).await?;
            work(&wire).await
        };
        tokio::select! {
            done = work => done,
            _ = distrusted.changed() => None,
        }
    }

    /// An answer that comes in time and is none of a failure.
    async fn answer<T, E>(&self, answer: impl Future<Output = Result<T, E>>) -> Option<T> {
        tokio::time::timeout(self.answer_timeout, answer).await.ok()?.ok()
    }
}

/// The tasks beside this handle, started when they are first needed.
#[derive(Default)]
struct Started {
    listener: Option<Owned>,
    notifier: Option<Owned>,
}

/// Ends the task with its owner.
struct Owned(AbortHandle);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Owned {
    fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Self {
        #[allow(
            clippy::disallowed_methods,
            reason = "the task is owned by its handle to the database, and ends with it"
        )]
        let task = tokio::spawn(task);
        Self(task.abort_handle())
    }
}

impl Wake {
    pub(crate) fn new(config: &PostgresConfig, connector: Connector) -> Self {
        Self {
            side_line: SideLine { connector, answer_timeout: config.answer_timeout },
            notify: config.notify,
            look_interval: config.look_interval.max(Duration::from_millis(1)),
            known: Arc::default(),
            appended: watch::Sender::new(0),
            tasks: Mutex::default(),
        }
    }

    /// This handle has appended events up to here.
    pub(crate) fn appended(&self, last: Position) {
        self.known.raise(last.as_i64());
        if self.notify {
            self.appended.send_if_modified(|known| {
                let is_new = *known < last.as_i64();
                *known = last.as_i64().max(*known);
                is_new
            });
            self.tasks
                .lock()
                .notifier
                .get_or_insert_with(|| Owned::spawn(notifier::run(self.side_line.clone(), self.appended.subscribe())));
        }
    }

    /// Returns when there may be events after a position, or at the deadline; `look` tells the last position that can be read.
    pub(crate) async fn wait<F>(&self, cursor_exclusive: Position, wait_max: Duration, look: impl Fn() -> F)
    where
        F: Future<Output = PortResult<Position>>,
    {
        let deadline = Instant::now().checked_add(wait_max);
        self.listen();
        loop {
            let (seen, line) = (self.known.count(), self.known.line());
            let is_over = deadline.is_some_and(|deadline| deadline <= Instant::now());
            if self.known.highest() > cursor_exclusive.as_i64() || is_over {
                return;
            }
            let interval = if line.is_told() { self.look_interval * LOOK_RARELY } else { self.look_interval };
            let next_look = Instant::now() + interval;
            let until = deadline.map_or(next_look, |deadline| deadline.min(next_look));
            // On a new line something may have been missed before.
            if self.known.was_looked_on(line) {
                self.known.changed_since(seen, line, until).await;
            }
            if self.known.count() == seen {
                match look().await {
                    Ok(last) => self.known.looked(line, last),
                    // A failure shows itself to the reader, who is told to look.
                    Err(_) => return,
                }
            }
        }
    }

    fn listen(&self) {
        if self.notify {
            self.tasks
                .lock()
                .listener
                .get_or_insert_with(|| Owned::spawn(listener::run(self.side_line.clone(), Arc::clone(&self.known))));
        }
    }
}

/// What a handle knows of the end of the table.
struct Known {
    /// Counts what wakes waiting tasks up.
    changes: watch::Sender<u64>,
    /// The highest position that is known to be there.
    highest: AtomicI64,
    line: watch::Sender<Line>,
    /// The line on which somebody has looked last.
    looked_on: AtomicU64,
}

/// Counts the beginnings and ends of the time in which notifications come: odd numbers are those when they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line(u64);

impl Line {
    fn is_told(self) -> bool {
        self.0 % 2 == 1
    }
}

impl Default for Known {
    fn default() -> Self {
        Self {
            changes: watch::Sender::new(0),
            highest: AtomicI64::new(0),
            line: watch::Sender::new(Line(0)),
            looked_on: AtomicU64::new(u64::MAX),
        }
    }
}

impl Known {
    fn highest(&self) -> i64 {
        self.highest.load(Ordering::Acquire)
    }

    fn count(&self) -> u64 {
        *self.changes.borrow()
    }

    fn line(&self) -> Line {
        *self.line.borrow()
    }

    /// Learns of a position, and wakes everybody up if it is new.
    fn raise(&self, position: i64) {
        if self.highest.fetch_max(position, Ordering::AcqRel) < position {
            self.changes.send_modify(|count| *count += 1);
        }
    }

    /// Notifications come from now on, or no longer.
    fn set_told(&self, told: bool) {
        self.line.send_if_modified(|line| {
            let is_new = line.is_told() != told;
            line.0 += u64::from(is_new);
            is_new
        });
    }

    fn was_looked_on(&self, line: Line) -> bool {
        self.looked_on.load(Ordering::Acquire) == line.0
    }

    /// Somebody has looked, and `line` was so before.
    fn looked(&self, line: Line, last: Position) {
        self.looked_on.store(line.0, Ordering::Release);
        self.raise(last.as_i64());
    }

    /// Returns when something changed since `seen` and `line`, or at a moment.
    async fn changed_since(&self, seen: u64, line: Line, until: Instant) {
        let (mut changes, mut lines) = (self.changes.subscribe(), self.line.subscribe());
        let change = async {
            tokio::select! {
                _ = changes.wait_for(|count| *count != seen) => {}
                _ = lines.wait_for(|now| *now != line) => {}
            }
        };
        // Both ends are fine: something changed, or the time is up.
        let _elapsed = tokio::time::timeout_at(until, change).await;
    }
}
