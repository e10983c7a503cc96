//! A connection to one server, shared by all callers of a handle.
//!
//! Every key belongs to one connection, so the commands for a key through one handle run in order. Commands that arrive
//! during a round trip wait and share the next one: under load, many callers cost as many system calls as one.
//!
//! # When a server does not answer
//!
//! - The keys of a call that fails, and of a change that is cancelled, become
//!   [`PendingInvalidations`](pending_invalidations::PendingInvalidations). They are deleted on the server as soon as
//!   it answers, and in any case before they are read again.
//! - After three failures in a row, or one failure to connect, the server is *down*: calls fail at once, and one task
//!   tries to connect with growing pauses.
//! - When there were more pending invalidations than fit, everything that the server stored before counts as a miss for
//!   this process: all items with a CAS unique below that of the probe item, which a connection writes first.

mod batch;
mod command;
mod error;
mod pending_invalidations;
mod socket;
mod state;
mod task;

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use crate::key::Key;

pub(crate) use command::{CacheCommand, CasToken, Reply};
pub(crate) use error::CallError;
pub(crate) use state::ConnectionSettings;
use state::ConnectionState;
use task::{ConnectionTask, Request};

/// The maximum number of queued requests; further callers wait for room.
const REQUESTS_MAX: usize = 1_024;

/// A handle to the task that owns the socket to one server.
pub(crate) struct Connection {
    state: Arc<ConnectionState>,
    requests: mpsc::Sender<Request>,
    _task: AbortOnDropHandle<()>,
}

impl Connection {
    /// Begins to connect to a server, on the current runtime.
    pub(crate) fn start(server: &str, settings: ConnectionSettings) -> Self {
        let (requests, queue) = mpsc::channel(REQUESTS_MAX);
        let state = Arc::new(ConnectionState::new(server));
        let connection_task = ConnectionTask::new(Arc::clone(&state), settings, queue);
        #[allow(
            clippy::disallowed_methods,
            reason = "the connection owns the task: it ends with it, and callers get an error when it is gone"
        )]
        let task = tokio::spawn(connection_task.run());
        Self { state, requests, _task: AbortOnDropHandle::new(task) }
    }

    /// Executes commands. On an error any part of them may have been executed.
    pub(crate) async fn execute(&self, commands: Vec<CacheCommand>) -> Result<Vec<Reply>, CallError> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        if self.state.is_down() {
            self.state.metrics.unreachable.increment(1);
            return Err(CallError::down(&self.state.server));
        }
        let (reply_to, replies) = oneshot::channel();
        let closed = || CallError::closed(&self.state.server);
        self.requests.send(Request { commands, reply_to }).await.map_err(|_| closed())?;
        replies.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Invalidates these keys as soon as the server answers, and in any case before they are read again.
    pub(crate) fn invalidate_later(&self, keys: Vec<Key>) {
        self.state.pending_invalidations.add(keys, &self.state.metrics);
    }

    /// Returns a guard that invalidates these keys unless the call for them completes.
    pub(crate) fn guard(&self, keys: impl IntoIterator<Item = Key>) -> InvalidationGuard {
        InvalidationGuard { state: Arc::clone(&self.state), keys: keys.into_iter().collect() }
    }
}

/// Adds the keys of a call to the pending invalidations when dropped before [`Self::disarm`]: the call failed or was
/// cancelled.
#[must_use]
pub(crate) struct InvalidationGuard {
    state: Arc<ConnectionState>,
    keys: Vec<Key>,
}

impl InvalidationGuard {
    /// Releases the keys after the call has completed.
    pub(crate) fn disarm(mut self) {
        self.keys.clear();
    }
}

impl Drop for InvalidationGuard {
    fn drop(&mut self) {
        if !self.keys.is_empty() {
            self.state.pending_invalidations.add(self.keys.drain(..), &self.state.metrics);
        }
    }
}
