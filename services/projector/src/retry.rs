//! Trying again until it works.

use diptych_kernel::ports::{PortError, Remedy};
use diptych_runtime::{Backoff, Shutdown, pause};
use metrics::{Counter, counter};

use crate::{
    ProjectorConfig,
    error::{ProjectorError, Stop},
    log_limit::LogLimit,
};

/// The tries of one call.
pub(crate) struct Retry {
    what: &'static str,
    backoff: Backoff,
    shutdown: Shutdown,
    logged: LogLimit,
    failures: Counter,
}

impl Retry {
    pub(crate) fn new(what: &'static str, config: &ProjectorConfig, shutdown: &Shutdown) -> Self {
        Self {
            what,
            backoff: Backoff::new(config.retry_delay_min, config.retry_delay_max),
            shutdown: shutdown.clone(),
            logged: LogLimit::default(),
            failures: counter!("diptych_projector_failures_total", "call" => what),
        }
    }

    /// After a failure: waits until it is time for the next try.
    pub(crate) async fn after(&mut self, error: PortError) -> Result<(), Stop> {
        self.failures.increment(1);
        if error.remedy() == Remedy::Operator {
            return Err(Stop::Failed(ProjectorError::Operator(error)));
        }
        let delay = self.backoff.next_delay();
        if self.logged.allows() {
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
