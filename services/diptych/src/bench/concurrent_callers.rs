//! Concurrent callers: each makes one call after another, so their number is the number of calls in flight.

use std::{cell::RefCell, time::Duration};

use anyhow::bail;
use diptych_runtime::{Backoff, pause};
use futures::{StreamExt, stream::FuturesUnordered};
use tokio::time::{Instant, timeout};

use super::{measurement::Measurement, pacer::Pacer};

/// The longest time of one measurement.
const MEASUREMENT_MAX: Duration = Duration::from_secs(3_600);
/// The pause of a caller after a failed call: after the first one, and at most, after many in a row. It relieves a
/// server that is overloaded or down.
pub(super) const PAUSE_MIN: Duration = Duration::from_millis(5);
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Runs one caller per client until the pacer ends. A caller gets the number of each call, and returns the reason if
/// the call failed.
///
/// # Errors
/// When the calls do not end within an hour.
pub(crate) async fn run<C, F>(
    clients: Vec<C>,
    pacer: &Pacer,
    mut caller: impl FnMut(C) -> F,
) -> anyhow::Result<Measurement>
where
    F: AsyncFnMut(u64) -> Result<(), String>,
{
    let measurement = RefCell::new(Measurement::new()?);
    let started_at = Instant::now();
    let callers: FuturesUnordered<_> =
        clients.into_iter().map(|client| run_caller(caller(client), pacer, &measurement)).collect();
    if timeout(MEASUREMENT_MAX, callers.collect::<()>()).await.is_err() {
        bail!("the measurement did not end within {} s", MEASUREMENT_MAX.as_secs());
    }
    let mut measurement = measurement.into_inner();
    measurement.add_elapsed(started_at.elapsed());
    Ok(measurement)
}

async fn run_caller(
    mut call: impl AsyncFnMut(u64) -> Result<(), String>,
    pacer: &Pacer,
    measurement: &RefCell<Measurement>,
) {
    let mut backoff = Backoff::new(PAUSE_MIN, PAUSE_MAX);
    while let Some(number) = pacer.next().await {
        let started_at = Instant::now();
        match call(number).await {
            Ok(()) => {
                measurement.borrow_mut().record_success(started_at.elapsed());
                backoff.reset();
            }
            Err(reason) => {
                measurement.borrow_mut().record_failure(reason);
                pause(backoff.next_delay()).await;
            }
        }
    }
}
