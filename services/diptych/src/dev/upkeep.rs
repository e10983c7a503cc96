//! What the embedded log needs now and then: room.

use std::{sync::Arc, time::Duration};

use diptych_embedded::EmbeddedEventLog;
use diptych_runtime::{Shutdown, pause};
use tracing::{debug, warn};

/// How many records of each partition stay, read or not: enough to see what went on lately.
const RECORDS_KEPT_MIN: u64 = 1_000;
/// How many records go at a time, so that nobody waits long for the log.
const RECORDS_PER_CALL_MAX: usize = 1_000;
/// Between rounds.
const ROUND_EVERY: Duration = Duration::from_secs(30);
/// Between the calls of a round.
const CALL_EVERY: Duration = Duration::from_millis(50);

/// Deletes records that the projector has read past, until shutdown: they are events of the write database, which keeps them.
pub(super) async fn trim_log(log: Arc<EmbeddedEventLog>, shutdown: Shutdown) {
    let mut until_next = ROUND_EVERY;
    loop {
        tokio::select! {
            () = shutdown.begun() => return,
            () = pause(until_next) => {}
        }
        until_next = match log.trim(RECORDS_KEPT_MIN, RECORDS_PER_CALL_MAX).await {
            Ok(trimmed) if trimmed >= RECORDS_PER_CALL_MAX => CALL_EVERY,
            Ok(trimmed) => {
                debug!(trimmed, "trimmed the log");
                ROUND_EVERY
            }
            Err(error) => {
                warn!(%error, "could not trim the log, trying again later");
                ROUND_EVERY
            }
        };
    }
}
