//! Connections outside the pools that carry notifications and no data, and the tasks that use them.

use std::{future::Future, time::Duration};

use tokio::{
    task::AbortHandle,
    time::{sleep, timeout},
};

use crate::driver::{ConnectionFactory, DriverConnection};

/// The channel of notifications. The payload is the position of the last event.
pub(super) const CHANNEL: &str = "diptych_events";

/// The pause before connecting again. Until then, waiting tasks poll more often.
const RECONNECT_DELAY: Duration = Duration::from_millis(500);

/// Opens a connection beside the pools, which carries no data.
#[derive(Clone)]
pub(super) struct AuxiliaryConnection {
    pub(super) connections: ConnectionFactory,
    pub(super) answer_timeout: Duration,
}

impl AuxiliaryConnection {
    /// Connects, and runs `work` on the connection until it fails or a new pool epoch begins; then returns `None`.
    pub(super) async fn run<T>(&self, work: impl AsyncFnOnce(&DriverConnection) -> Option<T>) -> Option<T> {
        let mut epochs = self.connections.pool_epoch().subscribe();
        epochs.mark_unchanged();
        let work = async {
            let connection = self.answer(self.connections.connect()).await?;
            work(&connection).await
        };
        tokio::select! {
            done = work => done,
            _ = epochs.changed() => None,
        }
    }

    /// Awaits an answer. Returns `None` if it is an error or does not come in time.
    pub(super) async fn answer<T, E>(&self, answer: impl Future<Output = Result<T, E>>) -> Option<T> {
        timeout(self.answer_timeout, answer).await.ok()?.ok()
    }

    /// Waits before the next attempt to connect.
    pub(super) async fn delay_reconnect() {
        sleep(RECONNECT_DELAY).await;
    }
}

/// A background task that is aborted when its owner is dropped.
pub(super) struct BackgroundTask(AbortHandle);

impl BackgroundTask {
    pub(super) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Self {
        #[allow(
            clippy::disallowed_methods,
            reason = "the task is owned by its handle to the database, and ends with it"
        )]
        let task = tokio::spawn(task);
        Self(task.abort_handle())
    }
}

impl Drop for BackgroundTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}
