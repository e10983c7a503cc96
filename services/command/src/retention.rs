//! Forgetting old request ids.

use std::{sync::Arc, time::Duration};

use diptych_kernel::{Clock, Timestamp, ports::EventStore};
use diptych_runtime::{Shutdown, pause};
use tracing::{info, warn};

/// How many go in one transaction: few, so that no command waits long for it.
const FORGOTTEN_PER_CALL_MAX: usize = 1_000;
/// The pause between two such transactions, so that commands have the database in between.
const PAUSE_BETWEEN_CALLS: Duration = Duration::from_millis(100);
/// The pause once nothing old is left. Ids are kept for days; a few minutes more do not matter.
const PAUSE_BETWEEN_ROUNDS: Duration = Duration::from_secs(600);

/// Forgets the ids of requests that are older than `keep`, by `clock`, a few at a time, until shutdown begins. A forgotten id counts as
/// new: its command could take effect a second time, so `keep` must be longer than anyone repeats a command (30 days by default).
pub async fn forget_old_requests<S: EventStore>(
    store: Arc<S>,
    clock: Arc<dyn Clock>,
    keep: Duration,
    shutdown: Shutdown,
) {
    loop {
        let until_next = tokio::select! {
            () = shutdown.begun() => return,
            until_next = forget_some(&*store, &*clock, keep) => until_next,
        };
        tokio::select! {
            () = shutdown.begun() => return,
            () = pause(until_next) => {}
        }
    }
}

/// Forgets some, and says when to come again.
async fn forget_some<S: EventStore>(store: &S, clock: &dyn Clock, keep: Duration) -> Duration {
    match store.forget_requests(before(clock.now(), keep), FORGOTTEN_PER_CALL_MAX).await {
        Ok(0) => PAUSE_BETWEEN_ROUNDS,
        Ok(forgotten) => {
            info!(forgotten, "old request ids are forgotten");
            if forgotten < FORGOTTEN_PER_CALL_MAX { PAUSE_BETWEEN_ROUNDS } else { PAUSE_BETWEEN_CALLS }
        }
        Err(failure) => {
            warn!(error = %failure, "old request ids could not be forgotten, trying again later");
            PAUSE_BETWEEN_ROUNDS
        }
    }
}

fn before(now: Timestamp, keep: Duration) -> Timestamp {
    let keep_micros = i64::try_from(keep.as_micros()).unwrap_or(i64::MAX);
    now.plus_micros(keep_micros.saturating_neg())
}
