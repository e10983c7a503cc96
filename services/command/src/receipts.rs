//! Lookups of receipts, in a task beside the sequencer so that they do not wait behind commits.

use std::{collections::HashMap, sync::Arc, time::Duration};

use diptych_kernel::{
    RequestId,
    domain::Domain,
    ports::{EventStore, StoredRequest},
};
use diptych_runtime::Shutdown;
use tokio::sync::{mpsc, oneshot};

use crate::retry_until::{RetryError, RetryUntil};

/// The capacity of the queue of lookups.
pub(crate) const LOOKUP_QUEUE_MAX: usize = 1_024;

/// The largest number of lookups in one call to the store.
const LOOKUPS_PER_CALL_MAX: usize = 256;

/// A request for the outcome of a command.
pub(crate) struct ReceiptLookup {
    pub(crate) request_id: RequestId,
    pub(crate) reply: oneshot::Sender<Result<Option<StoredRequest>, LookupError>>,
}

/// Error of a lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LookupError {
    Unavailable,
    Suspended,
    Internal,
}

/// Answers lookups until shutdown begins or the last sender is dropped. Lookups that wait together share one call.
pub(crate) async fn run<D: Domain, S: EventStore>(
    store: Arc<S>,
    mut queue: mpsc::Receiver<ReceiptLookup>,
    time_max: Duration,
    shutdown: Shutdown,
) {
    let mut lookups = Vec::new();
    loop {
        let taken = tokio::select! {
            biased;
            () = shutdown.begun() => return,
            taken = queue.recv_many(&mut lookups, LOOKUPS_PER_CALL_MAX) => taken,
        };
        if taken == 0 {
            return;
        }
        lookups.retain(|lookup| !lookup.reply.is_closed());
        answer_all::<D, S>(&store, &mut lookups, time_max).await;
    }
}

async fn answer_all<D: Domain, S: EventStore>(store: &S, lookups: &mut Vec<ReceiptLookup>, time_max: Duration) {
    let ids: Vec<RequestId> = lookups.iter().map(|lookup| lookup.request_id).collect();
    let retry = RetryUntil::new(time_max, ids.first().copied());
    let loaded = retry.run("receipts", || false, || store.load(&[], D::SNAPSHOT_FORMAT, &ids)).await;
    let found: Result<HashMap<RequestId, StoredRequest>, LookupError> = match loaded {
        Ok(answered) => Ok(answered.value.requests.into_iter().map(|stored| (stored.request_id, stored)).collect()),
        Err(RetryError::Suspended) => Err(LookupError::Suspended),
        Err(RetryError::Internal) => Err(LookupError::Internal),
        Err(RetryError::Unavailable | RetryError::OutcomeUnknown) => Err(LookupError::Unavailable),
    };
    for lookup in lookups.drain(..) {
        let stored = found.as_ref().map(|found| found.get(&lookup.request_id).cloned()).map_err(|error| *error);
        // The caller may have gone.
        let _ = lookup.reply.send(stored);
    }
}
