//! Calls that wait until a view has reached a position in a partition.

use std::{collections::BTreeMap, mem::replace};

use diptych_kernel::Position;
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// The calls that wait for positions of one view in one partition. A call is woken once: when its own position is
/// reached, or when progress ends.
#[derive(Debug, Default)]
pub(super) struct PositionWaiters(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    reached: Position,
    /// Whether no progress will follow.
    is_closed: bool,
    /// By position and number.
    calls: BTreeMap<(Position, u64), oneshot::Sender<()>>,
    calls_total: u64,
}

/// A waiting call. Dropping it removes the call.
struct WaitingCall<'a> {
    waiters: &'a PositionWaiters,
    key: (Position, u64),
}

impl PositionWaiters {
    /// Waits until the position is reached. Returns false if that will never be seen, because progress has ended.
    pub(super) async fn wait_until_reached(&self, position: Position) -> bool {
        let (_call, woken) = {
            let mut waiting = self.0.lock();
            if waiting.reached >= position || waiting.is_closed {
                return waiting.reached >= position;
            }
            let (wake, woken) = oneshot::channel();
            let key = (position, waiting.calls_total);
            waiting.calls_total += 1;
            waiting.calls.insert(key, wake);
            (WaitingCall { waiters: self, key }, woken)
        };
        woken.await.is_ok()
    }

    /// Wakes the calls that wait for this position or a smaller one.
    pub(super) fn reach(&self, position: Position) {
        let reached = {
            let mut waiting = self.0.lock();
            if position <= waiting.reached {
                return;
            }
            waiting.reached = position;
            let later = waiting.calls.split_off(&(position, u64::MAX));
            replace(&mut waiting.calls, later)
        };
        for wake in reached.into_values() {
            // Fails if the call has been dropped.
            let _ = wake.send(());
        }
    }

    /// Ends all waits, as no progress will follow.
    pub(super) fn close(&self) {
        let mut waiting = self.0.lock();
        waiting.is_closed = true;
        waiting.calls.clear();
    }
}

impl Drop for WaitingCall<'_> {
    fn drop(&mut self) {
        self.waiters.0.lock().calls.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::{Context, Poll, Wake},
    };

    use futures::FutureExt;

    use super::*;

    #[derive(Default)]
    struct WakeCounter(AtomicUsize);

    impl Wake for WakeCounter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn at(position: i64) -> Position {
        Position::from_i64(position).unwrap()
    }

    #[test]
    fn a_call_is_woken_once_when_its_own_position_is_reached() {
        let waiters = PositionWaiters::default();
        let counter = Arc::new(WakeCounter::default());
        let waker = Arc::clone(&counter).into();
        let mut context = Context::from_waker(&waker);
        let mut call = pin!(waiters.wait_until_reached(at(1_000)));
        assert_eq!(call.as_mut().poll(&mut context), Poll::Pending);
        for position in 1..1_000 {
            waiters.reach(at(position));
        }
        assert_eq!(counter.0.load(Ordering::SeqCst), 0, "wake-ups below the position");
        waiters.reach(at(1_001));
        waiters.reach(at(1_002));
        assert_eq!(counter.0.load(Ordering::SeqCst), 1);
        assert_eq!(call.as_mut().poll(&mut context), Poll::Ready(true));
    }

    #[test]
    fn a_position_that_is_reached_already_needs_no_wait() {
        let waiters = PositionWaiters::default();
        waiters.reach(at(5));
        waiters.reach(at(3));
        assert_eq!(waiters.wait_until_reached(at(5)).now_or_never(), Some(true));
        assert_eq!(waiters.wait_until_reached(at(6)).now_or_never(), None);
        assert!(waiters.0.lock().calls.is_empty(), "a dropped call is removed");
    }

    #[test]
    fn waits_end_when_no_progress_will_follow() {
        let waiters = PositionWaiters::default();
        waiters.reach(at(5));
        let mut call = Box::pin(waiters.wait_until_reached(at(6)));
        assert_eq!(call.as_mut().now_or_never(), None);
        waiters.close();
        assert_eq!(call.now_or_never(), Some(false));
        assert_eq!(waiters.wait_until_reached(at(6)).now_or_never(), Some(false));
        assert_eq!(waiters.wait_until_reached(at(5)).now_or_never(), Some(true));
    }
}
