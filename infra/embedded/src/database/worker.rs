//! Threads that own connections.

use std::{sync::Arc, thread::JoinHandle};

use diptych_kernel::ports::{PortError, PortResult};
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::guarded;

/// How many pieces of work may wait; more callers wait for room.
const QUEUE_MAX: usize = 128;

type Work = Box<dyn FnOnce(&mut Connection) + Send>;

/// Threads with a connection each, which take work from one queue.
pub(super) struct Workers {
    /// `None` only while dropping.
    queue: Option<mpsc::Sender<Work>>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts a thread of this name for each of the connections.
    pub(super) fn start(name: &str, connections: Vec<Connection>) -> PortResult<Self> {
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
                })
                .map_err(|error| PortError::not_done(format!("cannot start thread {name}")).caused_by(error))?;
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    /// Has `work` done and waits for its result. Work that was queued is done even when nobody waits any more.
    pub(super) async fn run<T, W>(&self, work: W) -> PortResult<T>
    where
        T: Send + 'static,
        W: FnOnce(&mut Connection) -> PortResult<T> + Send + 'static,
    {
        let (answer, result) = oneshot::channel();
        let work: Work = Box::new(move |connection| {
            // A caller that has gone does not want the answer.
            let _gone = answer.send(guarded(connection, work));
        });
        let queue = self.queue.as_ref().ok_or_else(closed)?;
        queue.send(work).await.map_err(|_| closed())?;
        result.await.unwrap_or_else(|_| Err(PortError::unknown("the database closed meanwhile")))
    }

    /// A way to the queue that keeps nobody from closing it.
    pub(super) fn queue(&self) -> WeakQueue {
        WeakQueue(self.queue.as_ref().map(mpsc::Sender::downgrade))
    }
}

/// A queue of work that others may close.
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
                tracing::warn!(%error, "could not write on the side");
            }
        });
        let queue = self.0.as_ref().and_then(mpsc::WeakSender::upgrade).ok_or_else(closed)?;
        queue.try_send(work).map_err(|_| PortError::not_done("the queue of the database is full"))
    }
}

impl Drop for Workers {
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

/// The next piece of work. One idle thread waits for it in the queue, the others wait for their turn to wait.
fn take(work: &Mutex<mpsc::Receiver<Work>>) -> Option<Work> {
    work.lock().blocking_recv()
}

fn closed() -> PortError {
    PortError::not_done("the database is closed")
}
