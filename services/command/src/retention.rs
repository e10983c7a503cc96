//! Removal of old request ids.

use std::{sync::Arc, time::Duration};

use diptych_kernel::{Clock, Timestamp, ports::EventStore};
use diptych_runtime::{Shutdown, pause};
use tracing::{info, warn};

/// The number of ids removed in one transaction: small, so that no command waits long for it.
const FORGOTTEN_PER_CALL_MAX: usize = 1_000;
/// The pause between two such transactions, which leaves the database to commands.
const PAUSE_BETWEEN_CALLS: Duration = Duration::from_millis(100);
/// The pause once no old ids are left. Ids are kept for days; a few minutes more do not matter.
const PAUSE_BETWEEN_ROUNDS: Duration = Duration::from_secs(600);

/// Removes request ids older than `keep`, by `clock`, in small transactions, until shutdown begins. A removed id counts
/// as new: its command could take effect a second time, so `keep` must be longer than any caller repeats a command (30
/// days by default).
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

/// Removes some ids, and returns the pause before the next call.
async fn forget_some<S: EventStore>(store: &S, clock: &dyn Clock, keep: Duration) -> Duration {
    match store.forget_requests(oldest_kept(clock.now(), keep), FORGOTTEN_PER_CALL_MAX).await {
        Ok(0) => PAUSE_BETWEEN_ROUNDS,
        Ok(forgotten) => {
            info!(forgotten, "removed old request ids");
            if forgotten < FORGOTTEN_PER_CALL_MAX { PAUSE_BETWEEN_ROUNDS } else { PAUSE_BETWEEN_CALLS }
        }
        Err(failure) => {
            warn!(error = %failure, "old request ids could not be removed, retrying later");
            PAUSE_BETWEEN_ROUNDS
        }
    }
}

fn oldest_kept(now: Timestamp, keep: Duration) -> Timestamp {
    let keep_micros = i64::try_from(keep.as_micros()).unwrap_or(i64::MAX);
    now.plus_micros(keep_micros.saturating_neg())
}
