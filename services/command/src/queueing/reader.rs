//! Reader of the queue: follows it, so that this process knows which commands wait.

use std::{sync::Arc, time::Duration};

use diptych_kernel::{
    domain::Domain,
    ports::{CommandQueue, CommandQueueState, Offset, PortResult, QueueLease},
};
use diptych_runtime::{Backoff, LogLimiter, Shutdown, pause};
use tracing::warn;

use super::{Queueing, QueueingConfig};

/// Largest number of records in one read.
const RECORDS_PER_READ_MAX: usize = 4_096;
/// Longest wait of one read for new records.
const READ_WAIT_MAX: Duration = Duration::from_secs(1);
/// Delays before a failed call is repeated.
const DELAY_MIN: Duration = Duration::from_millis(50);
const DELAY_MAX: Duration = Duration::from_secs(1);

/// Runs until shutdown begins.
pub(super) async fn run<D: Domain, S: CommandQueueState, Q: CommandQueue>(
    queueing: Arc<Queueing<D>>,
    store: Arc<S>,
    queue: Arc<Q>,
    shutdown: Shutdown,
) {
    tokio::select! {
        () = shutdown.begun() => {}
        () = follow(&queueing, &*store, &*queue) => {}
    }
}

async fn follow<D: Domain, S: CommandQueueState, Q: CommandQueue>(queueing: &Queueing<D>, store: &S, queue: &Q) {
    let mut backoff = Backoff::new(DELAY_MIN, DELAY_MAX);
    let mut log = LogLimiter::default();
    let mut next = first_offset(queueing, store, queue).await;
    loop {
        match queue.read(next, RECORDS_PER_READ_MAX, READ_WAIT_MAX).await {
            Ok(records) => {
                backoff.reset();
                log.reset();
                for record in &records {
                    let is_own = *record.command.queued_by == *queueing.config.instance;
                    queueing.index.add(record.offset, &record.command, is_own);
                    next = Offset(record.offset.0 + 1);
                }
                queueing.index.read(next);
            }
            Err(error) => {
                if log.allow().is_some() {
                    warn!(%error, offset = next.0, "the queue of commands cannot be read, retrying");
                }
                pause(backoff.next_delay()).await;
            }
        }
    }
}

/// Waits for the offset from which on commands have no outcome.
async fn first_offset<D: Domain, S: CommandQueueState, Q: CommandQueue>(
    queueing: &Queueing<D>,
    store: &S,
    queue: &Q,
) -> Offset {
    let mut backoff = Backoff::new(DELAY_MIN, DELAY_MAX);
    let mut log = LogLimiter::default();
    loop {
        match undone_from(queueing, store, queue).await {
            Ok(first) => {
                queueing.index.done(first);
                queueing.index.read(first);
                return first;
            }
            Err(error) => {
                if log.allow().is_some() {
                    warn!(%error, "it is not known yet which queued commands have run, retrying");
                }
                pause(backoff.next_delay()).await;
            }
        }
    }
}

async fn undone_from<D: Domain, S: CommandQueueState, Q: CommandQueue>(
    queueing: &Queueing<D>,
    store: &S,
    queue: &Q,
) -> PortResult<Offset> {
    let QueueingConfig { instance, lease_duration, .. } = &queueing.config;
    let QueueLease { done_before, .. } = store.acquire_queue_lease(instance, *lease_duration).await?;
    Ok(queueing.undone_from(done_before, queue.ends().await?))
}
