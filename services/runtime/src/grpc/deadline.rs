//! How long a call may take: as long as its caller waits, and no longer than the server allows.

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use http::HeaderMap;
use tokio::time::{Instant, sleep_until};
use tonic::Status;

/// How long the caller waits for the answer (`grpc-timeout`); `None` where it does not say, or not so that it can be understood.
#[must_use]
pub fn timeout(headers: &HeaderMap) -> Option<Duration> {
    parse(headers.get("grpc-timeout")?.to_str().ok()?)
}

/// How much of a caller's wait may be used before he is told that there is no answer, so that he hears why, and when to ask again: all but a
/// tenth, which is at least 20 ms and at most 200. On a busy machine an answer that comes at the last moment is overtaken by the
/// caller's own clock, or by that of a proxy on its way.
#[must_use]
pub fn time_to_answer(wait: Duration) -> Duration {
    wait.saturating_sub((wait / 10).clamp(ANSWER_MARGIN_MIN, ANSWER_MARGIN_MAX))
}

const ANSWER_MARGIN_MIN: Duration = Duration::from_millis(20);
const ANSWER_MARGIN_MAX: Duration = Duration::from_millis(200);

/// The end of a call, whether it is done or not.
///
/// tonic keeps the same deadlines, but what it answers then is CANCELLED, as if the caller had gone away. So this one is begun before
/// tonic's, and is never later.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    at: Instant,
    allowed: Duration,
    is_of_caller: bool,
}

impl Deadline {
    /// Begins now.
    pub(super) fn begin(headers: &HeaderMap, call_duration_max: Duration) -> Self {
        let of_caller = timeout(headers).filter(|timeout| *timeout <= call_duration_max);
        let allowed = of_caller.unwrap_or(call_duration_max);
        Self { at: Instant::now() + allowed, allowed, is_of_caller: of_caller.is_some() }
    }

    /// What comes of the work; `None` where the deadline came first.
    pub(super) async fn keep<T>(self, work: impl Future<Output = T>) -> Option<T> {
        let (mut work, mut alarm) = (pin!(work), pin!(sleep_until(self.at)));
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            // The clock too: the alarm that woke us may be tonic's, set for the same moment.
            Poll::Pending if alarm.as_mut().poll(cx).is_ready() || Instant::now() >= self.at => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// What the caller of `rpc` is told when the deadline came first.
    pub(super) fn exceeded(self, rpc: &str) -> Status {
        let Self { allowed, is_of_caller, .. } = self;
        let whose = if is_of_caller {
            "the caller's deadline (grpc-timeout)"
        } else {
            "the most that this server gives to a call (grpc.call_duration_max)"
        };
        Status::deadline_exceeded(format!(
            "{rpc} took longer than {allowed:?}, {whose}: call again, with more time if there is; whether a command was stored is not \
             known, so send it with the same request_id"
        ))
    }
}

/// Reads 1 to 8 digits and a unit, as the gRPC protocol has it.
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3_600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const MAX: Duration = Duration::from_secs(30);

    fn caller(timeout: &str) -> HeaderMap {
        HeaderMap::from_iter([("grpc-timeout".parse().unwrap(), timeout.parse().unwrap())])
    }

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        assert_eq!(parse("2S"), Some(Duration::from_secs(2)));
        assert_eq!(parse("99999999H"), Some(Duration::from_secs(99_999_999 * 3_600)));
        assert_eq!(parse("5M"), Some(Duration::from_secs(300)));
        assert_eq!(parse("150m"), Some(Duration::from_millis(150)));
        assert_eq!(parse("7u"), Some(Duration::from_micros(7)));
        assert_eq!(parse("0n"), Some(Duration::ZERO));
        for bad in ["", "S", "2", "2s", "-2S", "+2S", "123456789S", "2 S", "2é", "é"] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_call_may_have_no_timeout() {
        assert_eq!(timeout(&HeaderMap::new()), None);
        assert_eq!(timeout(&caller("nonsense")), None);
        assert_eq!(timeout(&caller("10m")), Some(Duration::from_millis(10)));
    }

    #[test]
    fn an_answer_has_time_to_reach_the_caller() {
        for (wait_ms, expected_ms) in
            [(0, 0), (10, 0), (100, 80), (200, 180), (1_000, 900), (3_000, 2_800), (60_000, 59_800)]
        {
            let expected = Duration::from_millis(expected_ms);
            assert_eq!(time_to_answer(Duration::from_millis(wait_ms)), expected, "{wait_ms} ms");
        }
        assert!(time_to_answer(Duration::MAX) < Duration::MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn the_earlier_one_holds_and_is_named() {
        for (headers, allowed, says) in [
            (caller("150m"), Duration::from_millis(150), "150ms, the caller's deadline"),
            (caller("30S"), MAX, "30s, the caller's deadline"),
            (caller("31S"), MAX, "30s, the most that this server gives"),
            (caller("99999999H"), MAX, "30s, the most that this server gives"),
            (caller("nonsense"), MAX, "30s, the most that this server gives"),
            (HeaderMap::new(), MAX, "30s, the most that this server gives"),
        ] {
            let began_at = Instant::now();
            let deadline = Deadline::begin(&headers, MAX);
            assert_eq!(deadline.keep(pending::<()>()).await, None);
            assert_eq!(began_at.elapsed(), allowed, "{headers:?}");
            let told = deadline.exceeded("theatre.v1.BoxOffice/Wait");
            assert!(told.message().starts_with("theatre.v1.BoxOffice/Wait took longer than "), "{told:?}");
            assert!(told.message().contains(says), "{told:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_kept_before_another_one_for_the_same_moment() {
        for millis in [0, 1, 7, 150] {
            let allowed = Duration::from_millis(millis);
            let ours = Deadline::begin(&HeaderMap::new(), allowed);
            let within_theirs = tokio::time::timeout(allowed, ours.keep(pending::<()>()));
            assert_eq!(within_theirs.await, Ok(None), "{millis} ms");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_is_done_in_time_is_an_answer() {
        let deadline = Deadline::begin(&HeaderMap::new(), MAX);
        assert_eq!(deadline.keep(async { 7 }).await, Some(7));
    }
}
