//! Reader of the queue: follows it, so that this process knows which commands wait.

use std::{sync::Arc, time::Duration};

use diptych_kernel::{
    domain::Domain,
    ports::{CommandQueue, CommandQueueState, Offset, QueueLease},
};
use diptych_runtime::{Backoff, LogLimiter, Shutdown, pause};
use tracing::warn;

use super::Queueing;

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
    let mut next = first_offset(queueing, store).await;
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
async fn first_offset<D: Domain, S: CommandQueueState>(queueing: &Queueing<D>, store: &S) -> Offset {
    let mut backoff = Backoff::new(DELAY_MIN, DELAY_MAX);
    loop {
        match store.acquire_queue_lease(&queueing.config.instance, queueing.config.lease_duration).await {
            Ok(QueueLease { done_before, .. }) => {
                queueing.index.done(done_before);
                queueing.index.read(done_before);
                return done_before;
            }
            Err(error) => {
                warn!(%error, "the write database does not tell which queued commands have run, retrying");
                pause(backoff.next_delay()).await;
            }
        }
    }
}
