//! Looking up receipts, beside the sequencer, so that nobody who asks waits behind commits.

use std::{collections::HashMap, sync::Arc, time::Duration};

use diptych_kernel::{Receipt, RequestId, domain::Domain, ports::EventStore};
use diptych_runtime::Shutdown;
use tokio::sync::{mpsc, oneshot};

use crate::patience::{GaveUp, Patience};

/// How many look-ups may wait.
pub(crate) const LOOKUPS_WAITING_MAX: usize = 1_024;

/// How many are asked for in one call.
const LOOKUPS_PER_CALL_MAX: usize = 256;

/// Somebody asks for a receipt.
pub(crate) struct Lookup {
    pub(crate) request_id: RequestId,
    pub(crate) reply: oneshot::Sender<Result<Option<Receipt>, LookupFailure>>,
}

/// The store did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LookupFailure {
    Unavailable,
    Internal,
}

/// Answers until shutdown begins or nobody can ask any more. What waits is asked for together.
pub(crate) async fn run<D: Domain, S: EventStore>(
    store: Arc<S>,
    mut asked: mpsc::Receiver<Lookup>,
    time_max: Duration,
    shutdown: Shutdown,
) {
    let mut lookups = Vec::new();
    loop {
        let taken = tokio::select! {
            biased;
            () = shutdown.begun() => return,
            taken = asked.recv_many(&mut lookups, LOOKUPS_PER_CALL_MAX) => taken,
        };
        if taken == 0 {
            return;
        }
        lookups.retain(|lookup| !lookup.reply.is_closed());
        answer::<D, S>(&store, &mut lookups, time_max).await;
    }
}

async fn answer<D: Domain, S: EventStore>(store: &S, lookups: &mut Vec<Lookup>, time_max: Duration) {
    let ids: Vec<RequestId> = lookups.iter().map(|lookup| lookup.request_id).collect();
    let patience = Patience::new(time_max, ids.first().copied());
    let loaded = patience.until_answered("receipts", || store.load(&[], D::SNAPSHOT_FORMAT, &ids)).await;
    let found: Result<HashMap<RequestId, Receipt>, LookupFailure> = match loaded {
        Ok(answered) => {
            Ok(answered.value.requests.into_iter().map(|stored| (stored.receipt.request_id, stored.receipt)).collect())
        }
        Err(GaveUp::Internal) => Err(LookupFailure::Internal),
        Err(GaveUp::Unavailable | GaveUp::OutcomeUnknown) => Err(LookupFailure::Unavailable),
    };
    for lookup in lookups.drain(..) {
        let receipt = found.as_ref().map(|found| found.get(&lookup.request_id).cloned()).map_err(|failure| *failure);
        // Who asked may have gone.
        let _ = lookup.reply.send(receipt);
    }
}
