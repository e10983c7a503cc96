//! Waiting for what a process needs.

use std::{collections::BTreeSet, pin::pin, time::Duration};

use diptych_kernel::ports::{PortError, PortResult, Remedy};
use diptych_runtime::{Backoff, pause};
use tracing::{error, info, warn};

const PAUSE_MIN: Duration = Duration::from_millis(100);
/// Short: a process that waits costs nearly nothing, and others wait for it.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// After how long without any answer that is told too.
const SILENCE_MAX: Duration = Duration::from_secs(2);
/// How many different reasons are told.
const REASONS_MAX: usize = 16;

/// Opens something that may not be there yet, as often as it takes. What is waited for is told once for each reason; where a person must help,
/// the reason says what to do, and it goes on by itself once that was done.
pub(crate) async fn until_there<T>(what: &str, mut open: impl AsyncFnMut() -> PortResult<T>) -> T {
    let mut backoff = Backoff::new(PAUSE_MIN, PAUSE_MAX);
    let mut reasons = Reasons::default();
    loop {
        match unless_silent(what, &mut reasons, open()).await {
            Ok(there) => {
                if !reasons.0.is_empty() {
                    info!(what, "is there");
                }
                return there;
            }
            Err(reason) if reasons.is_new(&reason.to_string()) => tell(what, &reason),
            Err(_) => {}
        }
        pause(backoff.next_delay()).await;
    }
}

/// Waits for an answer, and tells of it when that takes long.
async fn unless_silent<T>(what: &str, reasons: &mut Reasons, answer: impl Future<Output = T>) -> T {
    let mut answer = pin!(answer);
    tokio::select! {
        answer = &mut answer => return answer,
        () = pause(SILENCE_MAX) => {}
    }
    if reasons.is_new("silence") {
        warn!(what, "waiting for an answer");
    }
    answer.await
}

fn tell(what: &str, reason: &PortError) {
    match reason.remedy() {
        Remedy::Retry => warn!(what, %reason, "waiting until it can be reached"),
        Remedy::Operator => error!(what, %reason, "waiting until somebody has seen to it"),
    }
}

/// The reasons that were told.
#[derive(Default)]
struct Reasons(BTreeSet<String>);

impl Reasons {
    /// Whether a reason is to be told: the first time, and not for ever where each time it is put in other words.
    fn is_new(&mut self, reason: &str) -> bool {
        self.0.len() < REASONS_MAX && self.0.insert(reason.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_tried_until_it_is_there() {
        let began_at = Instant::now();
        let mut tries = 0;
        let there = until_there("the store", async || {
            tries += 1;
            match tries {
                1..=20 => Err(PortError::not_done("refused")),
                21..=40 => Err(PortError::operator("no schema")),
                _ => Ok(tries),
            }
        });
        assert_eq!(there.await, 41);
        assert!(began_at.elapsed() <= 40 * PAUSE_MAX, "{:?}", began_at.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_answer_is_waited_for() {
        let began_at = Instant::now();
        let slow = async || {
            pause(3 * SILENCE_MAX).await;
            Ok("late")
        };
        assert_eq!(until_there("the store", slow).await, "late");
        assert_eq!(began_at.elapsed(), 3 * SILENCE_MAX);
    }

    #[test]
    fn a_reason_is_told_once() {
        let mut reasons = Reasons::default();
        assert!(reasons.is_new("refused") && !reasons.is_new("refused"));
        assert!(reasons.is_new("no schema") && !reasons.is_new("refused"));
        let told = (0..100).filter(|number| reasons.is_new(&format!("try {number} failed"))).count();
        assert_eq!(told, REASONS_MAX - 2);
    }
}
