//! Calls in flight: so many lanes, each of which makes one call after another.

use std::{cell::RefCell, time::Duration};

use anyhow::bail;
use futures::{StreamExt, stream::FuturesUnordered};
use tokio::time::{Instant, timeout};

use super::{limit::Limit, measured::Measured};

/// However a measurement is limited, it ends after this.
const MEASUREMENT_MAX: Duration = Duration::from_secs(3_600);

/// Runs a lane per client until the limit. A lane gets the number of its turn and answers with nothing, or with the reason of a failure.
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
    while let Some(turn) = limit.take() {
        let started_at = Instant::now();
        match lane(turn).await {
            Ok(()) => measured.borrow_mut().answered(started_at.elapsed()),
            Err(reason) => measured.borrow_mut().failed(reason),
        }
    }
}
