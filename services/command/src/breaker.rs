//! Circuit breaker of the write database (Nygard, "Release It!", 2007): it opens once no call has succeeded for a while
//! although some were made, and closes with the first one that succeeds.
//!
//! It refuses nothing by itself: commands that may be queued are queued while it is open, and the others wait as long
//! as they would without it.

use std::{future::Future, pin::pin, time::Duration};

use diptych_kernel::ports::{PortResult, Remedy};
use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};
use tracing::{info, warn};

const OPEN: &str = "diptych_command_breaker_open";
const OPENED: &str = "diptych_command_breaker_opened_total";

pub(crate) fn describe_metrics() {
    describe_gauge!(
        OPEN,
        Unit::Count,
        "1 while the write database does not answer, so that commands are queued; else 0"
    );
    describe_counter!(OPENED, Unit::Count, "Times that the write database ceased to answer");
}

/// State of the write database as the calls of this process find it.
#[derive(Debug)]
pub(crate) struct Breaker {
    /// The begin of the first of the calls that failed since the last success.
    failing_since: watch::Sender<Option<Instant>>,
    open_after: Duration,
    is_open: Gauge,
    opened: Counter,
}

impl Breaker {
    /// A closed breaker that opens when calls have failed for this long without a success.
    pub(crate) fn new(open_after: Duration) -> Self {
        let is_open = gauge!(OPEN);
        is_open.set(0);
        Self { failing_since: watch::Sender::new(None), open_after, is_open, opened: counter!(OPENED) }
    }

    /// Makes a call, and learns from its result. A call that does not return counts as failing meanwhile.
    pub(crate) async fn observe<T>(&self, call: impl Future<Output = PortResult<T>>) -> PortResult<T> {
        let began_at = Instant::now();
        let mut call = pin!(call);
        let result = match timeout(self.open_after, &mut call).await {
            Ok(result) => result,
            Err(_slow) => {
                self.failed(began_at);
                call.await
            }
        };
        match &result {
            Ok(_) => self.succeeded(),
            Err(failure) if failure.remedy() == Remedy::Retry => self.failed(began_at),
            // It does answer: with what only an operator can mend.
            Err(_) => {}
        }
        result
    }

    pub(crate) fn is_open(&self) -> bool {
        self.failing_since.borrow().is_some_and(|since| since.elapsed() >= self.open_after)
    }

    /// Waits until it is open.
    pub(crate) async fn opened(&self) {
        let mut failing_since = self.failing_since.subscribe();
        loop {
            // The sender lives as long as the breaker.
            let since = failing_since.wait_for(Option::is_some).await.ok().and_then(|since| *since);
            let Some(since) = since else { continue };
            tokio::select! {
                () = sleep_until(since + self.open_after) => {}
                _ = failing_since.wait_for(Option::is_none) => continue,
            }
            if self.is_open() {
                return;
            }
        }
    }

    /// Waits until no call fails.
    pub(crate) async fn closed(&self) {
        // The sender lives as long as the breaker.
        let _ = self.failing_since.subscribe().wait_for(Option::is_none).await;
    }

    /// Notes that it is open, for operators.
    pub(crate) fn report_open(&self) {
        self.is_open.set(1);
        self.opened.increment(1);
        warn!("the write database does not answer: commands that allow it are queued, others wait and fail");
    }

    /// Notes that it is closed again.
    pub(crate) fn report_closed(&self) {
        self.is_open.set(0);
        info!("the write database answers again");
    }

    fn failed(&self, began_at: Instant) {
        self.failing_since.send_if_modified(|since| {
            let is_first = since.is_none();
            since.get_or_insert(began_at);
            is_first
        });
    }

    fn succeeded(&self) {
        if self.failing_since.borrow().is_some() {
            self.failing_since.send_replace(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use diptych_kernel::ports::PortError;
    use futures::FutureExt;
    use tokio::time::advance;

    use super::*;

    const OPEN_AFTER: Duration = Duration::from_secs(1);

    async fn fail(breaker: &Breaker) {
        let failure = async { PortResult::<()>::Err(PortError::not_done("down")) };
        assert!(breaker.observe(failure).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_when_calls_have_failed_for_a_while_and_closes_with_the_first_success() {
        let breaker = Breaker::new(OPEN_AFTER);
        fail(&breaker).await;
        assert!(!breaker.is_open() && breaker.opened().now_or_never().is_none());
        advance(OPEN_AFTER / 2).await;
        fail(&breaker).await;
        advance(OPEN_AFTER / 2).await;
        assert!(breaker.is_open() && breaker.opened().now_or_never().is_some());
        breaker.observe(async { Ok(()) }).await.unwrap();
        assert!(!breaker.is_open() && breaker.closed().now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_hangs_opens_it() {
        let breaker = Breaker::new(OPEN_AFTER);
        let mut hanging = Box::pin(breaker.observe(pending::<PortResult<()>>()));
        tokio::select! {
            _ = &mut hanging => panic!("it hangs"),
            () = breaker.opened() => {}
        }
        assert!(breaker.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_between_failures_keeps_it_closed() {
        let breaker = Breaker::new(OPEN_AFTER);
        for _ in 0..5 {
            fail(&breaker).await;
            advance(OPEN_AFTER * 2 / 3).await;
            breaker.observe(async { Ok(()) }).await.unwrap();
        }
        fail(&breaker).await;
        assert!(!breaker.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_for_an_operator_does_not_open_it() {
        let breaker = Breaker::new(OPEN_AFTER);
        let failure = async { PortResult::<()>::Err(PortError::operator("it went back")) };
        assert!(breaker.observe(failure).await.is_err());
        advance(OPEN_AFTER * 2).await;
        assert!(!breaker.is_open());
    }
}
