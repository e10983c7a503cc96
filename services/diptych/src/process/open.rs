//! Opening a server connection, retried until it succeeds.

use std::{collections::BTreeSet, pin::pin, time::Duration};

use diptych_kernel::ports::{PortError, PortResult, Remedy};
use diptych_runtime::{Backoff, pause};
use tracing::{error, info, warn};

const PAUSE_MIN: Duration = Duration::from_millis(100);
/// Short, as retries are cheap and other processes depend on this one.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// Time without any answer after which that is logged.
const SILENCE_MAX: Duration = Duration::from_secs(2);
/// The most different reasons that are logged.
const REASONS_MAX: usize = 16;

/// Opens something that may not be available yet, retried until it succeeds. Each reason for a failure is logged once;
/// where an operator must act, the reason says what to do, and the next retry after that succeeds.
pub(crate) async fn open_with_retries<T>(what: &str, mut open: impl AsyncFnMut() -> PortResult<T>) -> T {
    let mut backoff = Backoff::new(PAUSE_MIN, PAUSE_MAX);
    let mut reasons = LoggedReasons::default();
    loop {
        match log_silence(what, &mut reasons, open()).await {
            Ok(opened) => {
                if !reasons.0.is_empty() {
                    info!(what, "available");
                }
                return opened;
            }
            Err(reason) if reasons.is_new(&reason.to_string()) => log_failure(what, &reason),
            Err(_) => {}
        }
        pause(backoff.next_delay()).await;
    }
}

/// Waits for an answer, and logs it when that takes long.
async fn log_silence<T>(what: &str, reasons: &mut LoggedReasons, answer: impl Future<Output = T>) -> T {
    let mut answer = pin!(answer);
    tokio::select! {
        answer = &mut answer => return answer,
        () = pause(SILENCE_MAX) => {}
    }
    if reasons.is_new("silence") {
        warn!(what, "no answer yet, still waiting");
    }
    answer.await
}

fn log_failure(what: &str, reason: &PortError) {
    match reason.remedy() {
        Remedy::Retry => warn!(what, %reason, "not available, retrying"),
        Remedy::Operator => error!(what, %reason, "operator action needed, retrying"),
    }
}

/// The reasons that were logged.
#[derive(Default)]
struct LoggedReasons(BTreeSet<String>);

impl LoggedReasons {
    /// Returns whether a reason is to be logged: the first time, and at most [`REASONS_MAX`] in all, as a reason may be
    /// worded differently each time.
    fn is_new(&mut self, reason: &str) -> bool {
        self.0.len() < REASONS_MAX && self.0.insert(reason.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn opening_is_retried_until_it_succeeds() {
        let began_at = Instant::now();
        let mut tries = 0;
        let opened = open_with_retries("the store", async || {
            tries += 1;
            match tries {
                1..=20 => Err(PortError::not_done("refused")),
                21..=40 => Err(PortError::operator("no schema")),
                _ => Ok(tries),
            }
        });
        assert_eq!(opened.await, 41);
        assert!(began_at.elapsed() <= 40 * PAUSE_MAX, "{:?}", began_at.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_answer_is_waited_for() {
        let began_at = Instant::now();
        let slow = async || {
            pause(3 * SILENCE_MAX).await;
            Ok("late")
        };
        assert_eq!(open_with_retries("the store", slow).await, "late");
        assert_eq!(began_at.elapsed(), 3 * SILENCE_MAX);
    }

    #[test]
    fn a_reason_is_logged_once() {
        let mut reasons = LoggedReasons::default();
        assert!(reasons.is_new("refused") && !reasons.is_new("refused"));
        assert!(reasons.is_new("no schema") && !reasons.is_new("refused"));
        let logged = (0..100).filter(|number| reasons.is_new(&format!("try {number} failed"))).count();
        assert_eq!(logged, REASONS_MAX - 2);
    }
}
