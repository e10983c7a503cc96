//! A stream of the outputs of concurrent futures, in the order of the futures.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{Stream, stream::BoxStream};

/// Takes futures from a source as they become available, at most `in_flight_max` at a time, and yields their outputs in
/// that order.
///
/// In contrast to `futures::stream::FuturesOrdered`, only the oldest future is polled: the others need no waker, and a
/// batch of futures that completes at once costs one wake-up. The futures must make progress without being polled, as
/// the receiver of a channel does. While `in_flight_max` futures are in flight, the source is not polled, which applies
/// backpressure to its sender.
pub(super) struct OrderedFutures<F> {
    source: Option<BoxStream<'static, F>>,
    in_flight: VecDeque<F>,
    in_flight_max: usize,
}

impl<F> OrderedFutures<F> {
    pub(super) fn new(source: impl Stream<Item = F> + Send + 'static, in_flight_max: usize) -> Self {
        Self { source: Some(Box::pin(source)), in_flight: VecDeque::new(), in_flight_max }
    }

    /// Takes the futures that the source has ready.
    fn take_ready(&mut self, cx: &mut Context<'_>) {
        while self.in_flight.len() < self.in_flight_max {
            let Some(source) = &mut self.source else { return };
            match source.as_mut().poll_next(cx) {
                Poll::Ready(Some(future)) => self.in_flight.push_back(future),
                Poll::Ready(None) => self.source = None,
                Poll::Pending => return,
            }
        }
    }
}

impl<F: Future + Unpin> Stream for OrderedFutures<F> {
    type Item = F::Output;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        self.take_ready(cx);
        let Some(oldest) = self.in_flight.front_mut() else {
            return if self.source.is_none() { Poll::Ready(None) } else { Poll::Pending };
        };
        let output = std::task::ready!(Pin::new(oldest).poll(cx));
        self.in_flight.pop_front();
        Poll::Ready(Some(output))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use futures::{FutureExt, StreamExt, stream};
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn outputs_come_in_the_order_of_the_futures() {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..3).map(|_| oneshot::channel()).unzip();
        let mut outputs = OrderedFutures::new(stream::iter(receivers), 8);
        let mut senders = senders.into_iter();
        let (first, second, third) = (senders.next().unwrap(), senders.next().unwrap(), senders.next().unwrap());
        third.send(3).unwrap();
        second.send(2).unwrap();
        assert_eq!(outputs.next().now_or_never(), None);
        first.send(1).unwrap();
        assert_eq!(outputs.by_ref().collect::<Vec<_>>().await, [Ok(1), Ok(2), Ok(3)]);
    }

    #[tokio::test]
    async fn no_more_futures_than_the_limit_are_taken() {
        let taken = Arc::new(AtomicUsize::new(0));
        let count = taken.clone();
        let (release, gate) = oneshot::channel::<()>();
        let gate = gate.shared();
        let source = stream::iter(0..100).map(move |number| {
            count.fetch_add(1, Ordering::SeqCst);
            gate.clone().map(move |_| number)
        });
        let mut outputs = OrderedFutures::new(source, 10);
        assert_eq!(outputs.next().now_or_never(), None);
        assert_eq!(taken.load(Ordering::SeqCst), 10);
        release.send(()).unwrap();
        assert_eq!(outputs.next().await, Some(0));
        assert!(taken.load(Ordering::SeqCst) <= 11);
        assert_eq!(outputs.count().await, 99);
    }

    #[tokio::test]
    async fn a_ready_future_wakes_the_reader() {
        let (sender, receiver) = oneshot::channel();
        let mut outputs = OrderedFutures::new(stream::iter([receiver]).chain(stream::pending()), 10);
        let output = tokio::join!(outputs.next(), async { sender.send(7).unwrap() }).0;
        assert_eq!(output, Some(Ok(7)));
    }
}
