//! Deadlines of calls: the caller's, or the server's maximum if that is earlier.

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use http::HeaderMap;
use tokio::time::{Instant, sleep_until};
use tonic::Status;

/// The caller's timeout (header `grpc-timeout`); `None` if it is missing or invalid.
#[must_use]
pub fn caller_timeout(headers: &HeaderMap) -> Option<Duration> {
    parse(headers.get("grpc-timeout")?.to_str().ok()?)
}

/// The part of a caller's timeout after which the server responds with an error, so that the caller gets the reason and
/// the retry delay: all but a tenth, which is at least 20 ms and at most 200 ms. On a busy machine a response at the
/// last moment arrives after the timer of the caller, or of a proxy on the way, has fired.
#[must_use]
pub fn answer_timeout(timeout: Duration) -> Duration {
    timeout.saturating_sub((timeout / 10).clamp(ANSWER_MARGIN_MIN, ANSWER_MARGIN_MAX))
}

const ANSWER_MARGIN_MIN: Duration = Duration::from_millis(20);
const ANSWER_MARGIN_MAX: Duration = Duration::from_millis(200);

/// The deadline of a call.
///
/// tonic has the same deadlines, but responds with CANCELLED, as if the caller had gone. So this deadline begins before
/// tonic's and is never later.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    at: Instant,
    allowed: Duration,
    is_callers: bool,
}

impl Deadline {
    /// Begins now.
    pub(super) fn begin(headers: &HeaderMap, call_duration_max: Duration) -> Self {
        let of_caller = caller_timeout(headers).filter(|timeout| *timeout <= call_duration_max);
        let allowed = of_caller.unwrap_or(call_duration_max);
        Self { at: Instant::now() + allowed, allowed, is_callers: of_caller.is_some() }
    }

    /// Runs the work; `None` if the deadline passes first.
    pub(super) async fn run<T>(self, work: impl Future<Output = T>) -> Option<T> {
        let (mut work, mut timer) = (pin!(work), pin!(sleep_until(self.at)));
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            // The clock too: the timer that fired may be tonic's, set for the same moment.
            Poll::Pending if timer.as_mut().poll(cx).is_ready() || Instant::now() >= self.at => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// The status for a call of `rpc` whose deadline has passed.
    pub(super) fn exceeded_status(self, rpc: &str) -> Status {
        let Self { allowed, is_callers, .. } = self;
        let whose = if is_callers {
            "the caller's deadline (grpc-timeout)"
        } else {
            "the maximum of this server (grpc.call_duration_max)"
        };
        Status::deadline_exceeded(format!(
            "{rpc} took longer than {allowed:?}, {whose}: retry, with a longer deadline if possible; it is \
             unknown whether a command was stored, so send it with the same request_id"
        ))
    }
}

/// Parses 1 to 8 digits and a unit, as specified by gRPC over HTTP/2.
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
    fn a_missing_or_invalid_timeout_is_none() {
        assert_eq!(caller_timeout(&HeaderMap::new()), None);
        assert_eq!(caller_timeout(&caller("nonsense")), None);
        assert_eq!(caller_timeout(&caller("10m")), Some(Duration::from_millis(10)));
    }

    #[test]
    fn an_error_has_time_to_reach_the_caller() {
        for (wait_ms, expected_ms) in
            [(0, 0), (10, 0), (100, 80), (200, 180), (1_000, 900), (3_000, 2_800), (60_000, 59_800)]
        {
            let expected = Duration::from_millis(expected_ms);
            assert_eq!(answer_timeout(Duration::from_millis(wait_ms)), expected, "{wait_ms} ms");
        }
        assert!(answer_timeout(Duration::MAX) < Duration::MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn the_earlier_deadline_applies_and_is_named() {
        for (headers, allowed, expected) in [
            (caller("150m"), Duration::from_millis(150), "150ms, the caller's deadline"),
            (caller("30S"), MAX, "30s, the caller's deadline"),
            (caller("31S"), MAX, "30s, the maximum of this server"),
            (caller("99999999H"), MAX, "30s, the maximum of this server"),
            (caller("nonsense"), MAX, "30s, the maximum of this server"),
            (HeaderMap::new(), MAX, "30s, the maximum of this server"),
        ] {
            let began_at = Instant::now();
            let deadline = Deadline::begin(&headers, MAX);
            assert_eq!(deadline.run(pending::<()>()).await, None);
            assert_eq!(began_at.elapsed(), allowed, "{headers:?}");
            let status = deadline.exceeded_status("theatre.v1.BoxOffice/Wait");
            assert!(status.message().starts_with("theatre.v1.BoxOffice/Wait took longer than "), "{status:?}");
            assert!(status.message().contains(expected), "{status:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_fires_before_another_deadline_at_the_same_moment() {
        for millis in [0, 1, 7, 150] {
            let allowed = Duration::from_millis(millis);
            let ours = Deadline::begin(&HeaderMap::new(), allowed);
            let within_theirs = tokio::time::timeout(allowed, ours.run(pending::<()>()));
            assert_eq!(within_theirs.await, Ok(None), "{millis} ms");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_ends_in_time_is_returned() {
        let deadline = Deadline::begin(&HeaderMap::new(), MAX);
        assert_eq!(deadline.run(async { 7 }).await, Some(7));
    }
}
