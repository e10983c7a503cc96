//! Periodic work on the embedded databases.

use std::{sync::Arc, time::Duration};

use diptych_embedded::{Embedded, EmbeddedCommandQueue, EmbeddedEventLog, EmbeddedEventStore};
use diptych_kernel::ports::PortResult;
use diptych_runtime::{Shutdown, pause};
use tracing::{debug, warn};

/// Records of each partition that are kept, read or not, for inspection.
const RECORDS_KEPT_MIN: u64 = 1_000;
/// The most records deleted by one call, so that other users of the log are not blocked for long.
const RECORDS_PER_CALL_MAX: usize = 1_000;
/// Time between two rounds.
const ROUND_INTERVAL: Duration = Duration::from_secs(30);
/// Time between two calls of a round.
const CALL_INTERVAL: Duration = Duration::from_millis(50);

/// Deletes records that the projector has processed, until shutdown. Their events stay in the write database.
pub(super) async fn trim_log(log: Arc<EmbeddedEventLog>, shutdown: Shutdown) {
    let mut until_next = ROUND_INTERVAL;
    loop {
        tokio::select! {
            () = shutdown.begun() => return,
            () = pause(until_next) => {}
        }
        until_next = match log.trim(RECORDS_KEPT_MIN, RECORDS_PER_CALL_MAX).await {
            Ok(trimmed) if trimmed >= RECORDS_PER_CALL_MAX => CALL_INTERVAL,
            Ok(trimmed) => {
                debug!(trimmed, "trimmed the log");
                ROUND_INTERVAL
            }
            Err(error) => {
                warn!(%error, "cannot trim the log, retrying in the next round");
                ROUND_INTERVAL
            }
        };
    }
}

/// Deletes queued commands that have their outcome, until shutdown.
pub(super) async fn trim_queue(events: Arc<EmbeddedEventStore>, queue: Arc<EmbeddedCommandQueue>, shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = shutdown.begun() => return,
            () = pause(ROUND_INTERVAL) => {}
        }
        let trimmed = async {
            let done_before = events.queue_done_before().await?;
            while queue.delete_before(done_before, RECORDS_PER_CALL_MAX).await? >= RECORDS_PER_CALL_MAX {
                pause(CALL_INTERVAL).await;
            }
            PortResult::Ok(())
        };
        if let Err(error) = trimmed.await {
            warn!(%error, "cannot trim the queue of commands, retrying in the next round");
        }
    }
}

/// Gives the space of write-ahead logs back that a slow reader made long, until shutdown.
pub(super) async fn shrink_logs(databases: Embedded, shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = shutdown.begun() => return,
            () = pause(ROUND_INTERVAL) => databases.shrink_logs(),
        }
    }
}
