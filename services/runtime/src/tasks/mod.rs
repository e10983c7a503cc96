//! Groups of background tasks. A task that fails or panics is logged and begins shutdown.

use std::{collections::BTreeMap, fmt::Display, future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::{
    FutureExt,
    future::{AbortHandle, Abortable},
};
use parking_lot::Mutex;
use tokio_util::task::TaskTracker;
use tracing::{debug, error, warn};

use crate::Shutdown;

#[cfg(test)]
mod tests;

/// A group of tasks that start and stop together. Every clone is the same group.
///
/// A task that fails or panics is logged with its name, recorded, and begins the group's [`Shutdown`], so that no
/// process continues without one of its parts. A task that ends without an error does not begin shutdown.
#[derive(Clone, Debug)]
pub struct Tasks {
    group: Arc<Group>,
}

#[derive(Debug)]
struct Group {
    shutdown: Shutdown,
    tracker: TaskTracker,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    started: u64,
    running: BTreeMap<u64, (&'static str, AbortHandle)>,
    failed: Vec<&'static str>,
}

/// The tasks of a group that failed or did not end in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("tasks failed: {failed:?}, still running: {running:?}")]
pub struct UnfinishedTasks {
    /// The tasks that failed or panicked, in order of failure.
    pub failed: Vec<&'static str>,
    /// The tasks that had not ended in time. They are dropped at their next await.
    pub running: Vec<&'static str>,
}

impl Tasks {
    /// An empty group. Groups may share a shutdown signal.
    #[must_use]
    pub fn new(shutdown: Shutdown) -> Self {
        Self { group: Arc::new(Group { shutdown, tracker: TaskTracker::new(), state: Mutex::default() }) }
    }

    /// The signal on which the tasks stop, and which a failed task gives.
    #[must_use]
    pub fn shutdown(&self) -> Shutdown {
        self.group.shutdown.clone()
    }

    /// Runs a task that cannot fail.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn_fallible(name, task.map(Ok::<(), std::convert::Infallible>));
    }

    /// Runs a task. If it returns an error, that is logged and the group shuts down.
    pub fn spawn_fallible<E: Display + Send + 'static>(
        &self,
        name: &'static str,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let (handle, registration) = AbortHandle::new_pair();
        let number = self.group.register(name, handle);
        let group = Arc::clone(&self.group);
        let task = Abortable::new(AssertUnwindSafe(task).catch_unwind(), registration);
        self.group.tracker.spawn(async move {
            match task.await {
                Ok(Ok(Ok(()))) => debug!(task = name, "task ended"),
                Ok(Ok(Err(failure))) => group.fail(name, &failure),
                Ok(Err(panic)) => group.fail(name, &panic_text(panic.as_ref())),
                Err(_aborted) => warn!(task = name, "task did not stop in time and was dropped"),
            }
            group.state.lock().running.remove(&number);
        });
    }

    /// Waits until all tasks have ended, for `wait_max` at most, and drops those that still run then. Does not begin
    /// shutdown.
    ///
    /// # Errors
    /// When a task failed or panicked at any time, or had to be dropped.
    pub async fn finish(self, wait_max: Duration) -> Result<(), UnfinishedTasks> {
        self.group.tracker.close();
        let in_time = tokio::time::timeout(wait_max, self.group.tracker.wait()).await.is_ok();
        let (failed, running) = {
            let state = self.group.state.lock();
            let running: Vec<_> = if in_time { Vec::new() } else { state.running.values().cloned().collect() };
            (state.failed.clone(), running)
        };
        for (_, handle) in &running {
            handle.abort();
        }
        let running: Vec<_> = running.into_iter().map(|(name, _)| name).collect();
        if failed.is_empty() && running.is_empty() { Ok(()) } else { Err(UnfinishedTasks { failed, running }) }
    }
}

impl Group {
    fn register(&self, name: &'static str, handle: AbortHandle) -> u64 {
        let mut state = self.state.lock();
        state.started += 1;
        let number = state.started;
        state.running.insert(number, (name, handle));
        number
    }

    fn fail(&self, name: &'static str, reason: &dyn Display) {
        error!(task = name, error = %reason, "task failed, shutting down");
        self.state.lock().failed.push(name);
        self.shutdown.begin();
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("without a message"))
}
