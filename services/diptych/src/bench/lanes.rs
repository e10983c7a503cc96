//! Calls in flight: so many lanes, each of which makes one call after another, and pauses after one that failed.

use std::{cell::RefCell, time::Duration};

use anyhow::bail;
use diptych_runtime::{Backoff, pause};
use futures::{StreamExt, stream::FuturesUnordered};
use tokio::time::{Instant, timeout};

use super::{limit::Limit, measured::Measured};

/// However a measurement is limited, it ends after this.
const MEASUREMENT_MAX: Duration = Duration::from_secs(3_600);
/// How long a lane pauses after a failure, the first time and after many in a row: a server that is away is not helped
/// by calls.
pub(super) const PAUSE_MIN: Duration = Duration::from_millis(5);
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Runs a lane per client until the limit. A lane gets the number of its turn and answers with nothing, or with the
/// reason of a failure.
///
/// # Errors
/// When it does not end within an hour.
pub(crate) async fn run<C, L>(clients: Vec<C>, limit: &Limit, mut lane: impl FnMut(C) -> L) -> anyhow::Result<Measured>
where
    L: AsyncFnMut(u64) -> Result<(), String>,
{
    let measured = RefCell::new(Measured::new()?);
    let started_at = Instant::now();
    let lanes: FuturesUnordered<_> = clients.into_iter().map(|client| turns(lane(client), limit, &measured)).collect();
    if timeout(MEASUREMENT_MAX, lanes.collect::<()>()).await.is_err() {
        bail!("the measurement did not end within {} s", MEASUREMENT_MAX.as_secs());
    }
    let mut measured = measured.into_inner();
    measured.lasted(started_at.elapsed());
    Ok(measured)
}

async fn turns(mut lane: impl AsyncFnMut(u64) -> Result<(), String>, limit: &Limit, measured: &RefCell<Measured>) {
    let mut backoff = Backoff::new(PAUSE_MIN, PAUSE_MAX);
    while let Some(turn) = limit.next().await {
        let started_at = Instant::now();
        match lane(turn).await {
            Ok(()) => {
                measured.borrow_mut().answered(started_at.elapsed());
                backoff.reset();
            }
            Err(reason) => {
                measured.borrow_mut().failed(reason);
                pause(backoff.next_delay()).await;
            }
        }
    }
}
