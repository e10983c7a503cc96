//! A way to one server: a connection, the task that has it, and what both have to remember.
//!
//! Every key has one lane, so what happens to a key through one handle happens in order. What is asked while a round trip is under way waits
//! and shares the next one: under load many callers cost as many system calls as one.
//!
//! # When a server does not answer
//!
//! - A call that fails or is given up leaves its keys in [`Debts`]. They are forgotten on the server as soon as it answers, and in any case
//!   before they are looked at again.
//! - After three failures in a row, or one failure to connect, the server is *down*: calls fail at once, and one task tries to connect with
//!   growing pauses.
//! - When it is back, everything that it stored before that moment counts as a miss for this process, whether anything is owed for it or not:
//!   items with a number (CAS unique) below that of the item with which the connection greets. Where more keys were owed than fit, the same is
//!   done.

mod batch;
mod command;
mod connection;
mod debts;
mod failure;
mod worker;

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use crate::{
    key::{Key, Keys},
    metrics::LaneMetrics,
};

pub(crate) use command::{Command, Mark, Reply};
pub(crate) use connection::Timeouts;
use debts::Debts;
pub(crate) use failure::Failure;
use worker::{Job, Worker};

/// How many callers may wait for a round trip; more wait for room.
const JOBS_MAX: usize = 1_024;

/// What all lanes of a cache share.
#[derive(Clone, Debug)]
pub(crate) struct LaneSettings {
    greeting: Key,
    timeouts: Timeouts,
    reconnect_delay_min: Duration,
    reconnect_delay_max: Duration,
}

impl LaneSettings {
    pub(crate) fn new(config: &crate::MemcachedConfig, keys: &Keys) -> Self {
        Self {
            greeting: keys.of_greeting(),
            timeouts: Timeouts { connect: config.connect_timeout, request: config.request_timeout },
            reconnect_delay_min: config.reconnect_delay_min,
            reconnect_delay_max: config.reconnect_delay_max,
        }
    }
}

/// Every `RandomState` has other keys: randomness enough for what only has to differ.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// What a lane and its task share.
struct Shared {
    server: Arc<str>,
    is_down: AtomicBool,
    has_refused: AtomicBool,
    debts: Debts,
    metrics: LaneMetrics,
}

impl Shared {
    fn is_down(&self) -> bool {
        self.is_down.load(Ordering::Acquire)
    }

    /// Whether that is news.
    fn set_down(&self, is_down: bool) -> bool {
        self.is_down.swap(is_down, Ordering::AcqRel) != is_down
    }

    fn note_refusal(&self, refusal: &memcache::exp::Error) {
        self.metrics.refused.increment(1);
        if !self.has_refused.swap(true, Ordering::Relaxed) {
            warn!(server = %self.server, %refusal, "a cache server refuses a command, later ones are only counted");
        }
    }
}

/// A way to one server.
pub(crate) struct Lane {
    shared: Arc<Shared>,
    jobs: mpsc::Sender<Job>,
    _worker: AbortOnDropHandle<()>,
}

impl Lane {
    /// Begins to connect to a server, on the current runtime.
    pub(crate) fn start(server: &str, settings: LaneSettings) -> Self {
        let (jobs, queue) = mpsc::channel(JOBS_MAX);
        let shared = Arc::new(Shared {
            server: server.into(),
            is_down: AtomicBool::new(false),
            has_refused: AtomicBool::new(false),
            debts: Debts::default(),
            metrics: LaneMetrics::new(server),
        });
        let worker = Worker::new(Arc::clone(&shared), settings, queue);
        #[allow(
            clippy::disallowed_methods,
            reason = "the lane owns the task: it ends with it, and its callers hear when it is gone"
        )]
        let task = tokio::spawn(worker.run());
        Self { shared, jobs, _worker: AbortOnDropHandle::new(task) }
    }

    /// Does all of it, or fails and may have done any part of it.
    pub(crate) async fn ask(&self, commands: Vec<Command>) -> Result<Vec<Reply>, Failure> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        if self.shared.is_down() {
            self.shared.metrics.unreachable.increment(1);
            return Err(Failure::down(&self.shared.server));
        }
        let (answer, replies) = oneshot::channel();
        let closed = || Failure::closed(&self.shared.server);
        self.jobs.send(Job { commands, answer }).await.map_err(|_| closed())?;
        replies.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Promises that a call for these keys will come to its end. If it does not, they are forgotten.
    pub(crate) fn pledge(&self, keys: impl IntoIterator<Item = Key>) -> Pledge {
        Pledge { shared: Arc::clone(&self.shared), keys: keys.into_iter().collect() }
    }
}

/// Remembers the keys of a call unless it is kept: the call may fail, or nobody may wait for it any more.
#[must_use]
pub(crate) struct Pledge {
    shared: Arc<Shared>,
    keys: Vec<Key>,
}

impl Pledge {
    /// The call has come to its end.
    pub(crate) fn keep(mut self) {
        self.keys.clear();
    }
}

impl Drop for Pledge {
    fn drop(&mut self) {
        if !self.keys.is_empty() {
            self.shared.debts.incur(self.keys.drain(..), &self.shared.metrics);
        }
    }
}
