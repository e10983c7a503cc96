//! Retries of calls with backoff, until success, permanent failure or shutdown.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use diptych_kernel::ports::{PortError, Remedy};
use diptych_runtime::{Backoff, LogLimiter, Shutdown, pause};
use metrics::{Counter, counter};

use crate::{
    config::ProjectorConfig,
    error::{ProjectorError, Stop},
};

/// Counts the calls of stores that were answered, successfully or not. While the count grows, the caller is not hung.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heartbeat(Arc<AtomicU64>);

impl Heartbeat {
    /// Makes a call and counts it once it is answered. Every call of a store goes through here, except those that have
    /// a time limit.
    pub(crate) async fn beat_after<T>(&self, call: impl Future<Output = T>) -> T {
        let answer = call.await;
        self.0.fetch_add(1, Ordering::Relaxed);
        answer
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The attempts of one call.
pub(crate) struct Retry {
    call: &'static str,
    backoff: Backoff,
    shutdown: Shutdown,
    log_limiter: LogLimiter,
    failures: Counter,
}

impl Retry {
    pub(crate) fn new(call: &'static str, config: &ProjectorConfig, shutdown: &Shutdown) -> Self {
        Self {
            call,
            backoff: Backoff::new(config.retry_delay_min, config.retry_delay_max),
            shutdown: shutdown.clone(),
            log_limiter: LogLimiter::default(),
            failures: counter!("diptych_projector_failures_total", "call" => call),
        }
    }

    /// After a failure: waits until the next attempt.
    ///
    /// # Errors
    /// When only an operator can fix it, or at shutdown.
    pub(crate) async fn after(&mut self, error: PortError) -> Result<(), Stop> {
        self.failures.increment(1);
        if error.remedy() == Remedy::Operator {
            return Err(Stop::Failed(ProjectorError::Operator(error)));
        }
        let delay = self.backoff.next_delay();
        if self.log_limiter.allow().is_some() {
            let delay_ms = delay.as_millis();
            tracing::warn!(call = self.call, %error, delay_ms, "a call of the projector failed and is repeated");
        }
        tokio::select! {
            () = pause(delay) => Ok(()),
            () = self.shutdown.begun() => Err(Stop::Shutdown),
        }
    }

    /// After a success: resets the backoff.
    pub(crate) fn succeeded(&mut self) {
        self.backoff.reset();
        self.log_limiter.reset();
    }
}
