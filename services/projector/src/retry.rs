//! Trying again until it works.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use diptych_kernel::ports::{PortError, Remedy};
use diptych_runtime::{Backoff, LogLimiter, Shutdown, pause};
use metrics::{Counter, counter};

use crate::{
    ProjectorConfig,
    error::{ProjectorError, Stop},
};

/// Counts the calls that failed and came back. As long as they do, their caller is not hung.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pulse(Arc<AtomicU64>);

impl Pulse {
    fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The tries of one call.
pub(crate) struct Retry {
    what: &'static str,
    pulse: Pulse,
    backoff: Backoff,
    shutdown: Shutdown,
    logged: LogLimiter,
    failures: Counter,
}

impl Retry {
    pub(crate) fn new(what: &'static str, config: &ProjectorConfig, shutdown: &Shutdown, pulse: &Pulse) -> Self {
        Self {
            what,
            pulse: pulse.clone(),
            backoff: Backoff::new(config.retry_delay_min, config.retry_delay_max),
            shutdown: shutdown.clone(),
            logged: LogLimiter::default(),
            failures: counter!("diptych_projector_failures_total", "call" => what),
        }
    }

    /// After a failure: waits until it is time for the next try.
    pub(crate) async fn after(&mut self, error: PortError) -> Result<(), Stop> {
        self.failures.increment(1);
        self.pulse.beat();
        if error.remedy() == Remedy::Operator {
            return Err(Stop::Failed(ProjectorError::Operator(error)));
        }
        let delay = self.backoff.next_delay();
        if self.logged.allow().is_some() {
            tracing::warn!(call = self.what, %error, ?delay, "the projector tries again");
        }
        tokio::select! {
            () = pause(delay) => Ok(()),
            () = self.shutdown.begun() => Err(Stop::Shutdown),
        }
    }

    /// After a success.
    pub(crate) fn succeeded(&mut self) {
        self.backoff.reset();
        self.logged.reset();
    }
}
