//! Registration of a query service as a reader of the tables of its views, so that projectors of another version of the
//! program know that they are in use.

use std::{sync::Arc, time::Duration};

use diptych_kernel::{
    domain::ViewId,
    ports::{PortError, ProgressStore},
};
use diptych_runtime::{Shutdown, pause};
use tokio::{sync::watch, time::timeout};

use crate::outage_log::OutageLog;

/// Time between two renewals.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(5);
/// How long a process that has crashed counts as a reader. Three renewals may fail.
const TIME_TO_LIVE: Duration = Duration::from_secs(20);
/// Timeout of a call, and the pause after one that failed.
const CALL_TIMEOUT: Duration = Duration::from_secs(1);

/// Registers a process until shutdown, and then removes the registration. Sets `is_registered` once it is stored.
pub async fn register_reader<P: ProgressStore>(
    progress: Arc<P>,
    instance: String,
    views: Vec<ViewId>,
    is_registered: watch::Sender<bool>,
    shutdown: Shutdown,
) {
    let outage_log = OutageLog::new("registration as a reader in the read database");
    let renewals = async {
        loop {
            let added = progress.add_reader(&instance, &views, TIME_TO_LIVE);
            match timeout(CALL_TIMEOUT, added).await {
                Ok(Ok(())) => {
                    outage_log.record_success();
                    is_registered.send_replace(true);
                    pause(RENEWAL_INTERVAL).await;
                }
                Ok(Err(error)) => {
                    outage_log.record_failure(&error);
                    pause(CALL_TIMEOUT).await;
                }
                // It has waited long enough.
                Err(_elapsed) => {
                    let message = format!("the read database did not answer within {CALL_TIMEOUT:?}");
                    outage_log.record_failure(&PortError::not_done(message));
                }
            }
        }
    };
    tokio::select! {
        () = shutdown.begun() => {}
        () = renewals => {}
    }
    // Without it, the registration expires.
    if !matches!(timeout(CALL_TIMEOUT, progress.remove_reader(&instance, &views)).await, Ok(Ok(()))) {
        tracing::debug!(instance, "the registration as a reader was not removed; it expires");
    }
}
