//! Threads that own database connections.

use std::{sync::Arc, thread::JoinHandle};

use diptych_kernel::ports::{PortError, PortResult};
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::guarded;

/// Length of the work queue. Further callers wait until there is room.
const QUEUE_MAX: usize = 128;

type Work = Box<dyn FnOnce(&mut Connection) + Send>;

/// Threads that each own a connection and take work from a shared queue.
pub(super) struct ConnectionThreads {
    /// `None` only while the value is dropped.
    queue: Option<mpsc::Sender<Work>>,
    threads: Vec<JoinHandle<()>>,
}

impl ConnectionThreads {
    /// Starts a thread with this name for each connection.
    pub(super) fn start(name: &str, connections: Vec<Connection>) -> PortResult<Self> {
        Self::start_with_end(name, connections, |_| ())
    }

    /// Like [`ConnectionThreads::start`]; each thread calls `at_end` before it closes its connection.
    pub(super) fn start_with_end(
        name: &str,
        connections: Vec<Connection>,
        at_end: fn(&Connection),
    ) -> PortResult<Self> {
        let (queue, work) = mpsc::channel(QUEUE_MAX);
        let work = Arc::new(Mutex::new(work));
        let mut workers = Self { queue: Some(queue), threads: Vec::with_capacity(connections.len()) };
        for mut connection in connections {
            let work = Arc::clone(&work);
            let thread = std::thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || {
                    while let Some(work) = take(&work) {
                        work(&mut connection);
                    }
                    at_end(&connection);
                })
                .map_err(|error| PortError::not_done(format!("cannot start thread {name}")).caused_by(error))?;
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    /// Queues `work` and waits for its result. Queued work runs even if the future is dropped.
    pub(super) async fn run<T, W>(&self, work: W) -> PortResult<T>
    where
        T: Send + 'static,
        W: FnOnce(&mut Connection) -> PortResult<T> + Send + 'static,
    {
        let (answer, result) = oneshot::channel();
        let work: Work = Box::new(move |connection| {
            // The caller may have dropped the future.
            let _gone = answer.send(guarded(connection, work));
        });
        let queue = self.queue.as_ref().ok_or_else(closed)?;
        queue.send(work).await.map_err(|_| closed())?;
        result.await.unwrap_or_else(|_| Err(PortError::unknown("the database was closed during the call")))
    }

    /// Returns a weak handle to the queue, which does not prevent closing.
    pub(super) fn queue(&self) -> WeakQueue {
        WeakQueue(self.queue.as_ref().map(mpsc::Sender::downgrade))
    }
}

/// Weak handle to a work queue, which can be closed independently.
#[derive(Clone)]
pub(super) struct WeakQueue(Option<mpsc::WeakSender<Work>>);

impl WeakQueue {
    /// Queues `work` without waiting for room or for the result.
    pub(super) fn run_detached<W>(&self, work: W) -> PortResult<()>
    where
        W: FnOnce(&mut Connection) -> PortResult<()> + Send + 'static,
    {
        let work: Work = Box::new(move |connection| {
            if let Err(error) = guarded(connection, work) {
                tracing::warn!(%error, "a background write failed");
            }
        });
        let queue = self.0.as_ref().and_then(mpsc::WeakSender::upgrade).ok_or_else(closed)?;
        queue.try_send(work).map_err(|_| PortError::not_done("the database's work queue is full"))
    }
}

impl Drop for ConnectionThreads {
    fn drop(&mut self) {
        // Without a sender the threads finish what is queued, close their connections and end.
        self.queue.take();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a database thread panicked");
            }
        }
    }
}

/// Takes the next work item. One idle thread waits on the queue, the others wait for the lock.
fn take(work: &Mutex<mpsc::Receiver<Work>>) -> Option<Work> {
    work.lock().blocking_recv()
}

fn closed() -> PortError {
    PortError::not_done("the database is closed")
}
