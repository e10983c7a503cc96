//! Many answers under way, told in the order of the questions.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{Stream, stream::BoxStream};

/// Takes futures from a source as it gives them, up to a limit at a time, and yields what they become in that order.
///
/// Only the oldest is polled: the others need no waker, and a whole batch that is answered at once costs one wake-up. They must make
/// progress by themselves, as an answer that another task sends does. While `limit` wait, the source is left alone, which is what
/// holds its sender back.
pub(super) struct OrderedFutures<F> {
    source: Option<BoxStream<'static, F>>,
    waiting: VecDeque<F>,
    limit: usize,
}

impl<F> OrderedFutures<F> {
    pub(super) fn new(source: impl Stream<Item = F> + Send + 'static, limit: usize) -> Self {
        Self { source: Some(Box::pin(source)), waiting: VecDeque::new(), limit }
    }

    /// Takes what the source has by now.
    fn take_more(&mut self, cx: &mut Context<'_>) {
        while self.waiting.len() < self.limit {
            let Some(source) = &mut self.source else { return };
            match source.as_mut().poll_next(cx) {
                Poll::Ready(Some(future)) => self.waiting.push_back(future),
                Poll::Ready(None) => self.source = None,
                Poll::Pending => return,
            }
        }
    }
}

impl<F: Future + Unpin> Stream for OrderedFutures<F> {
    type Item = F::Output;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        self.take_more(cx);
        let Some(oldest) = self.waiting.front_mut() else {
            return if self.source.is_none() { Poll::Ready(None) } else { Poll::Pending };
        };
        let output = std::task::ready!(Pin::new(oldest).poll(cx));
        self.waiting.pop_front();
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
    async fn answers_come_in_the_order_of_the_questions() {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..3).map(|_| oneshot::channel()).unzip();
        let mut answers = OrderedFutures::new(stream::iter(receivers), 8);
        let mut senders = senders.into_iter();
        let (first, second, third) = (senders.next().unwrap(), senders.next().unwrap(), senders.next().unwrap());
        third.send(3).unwrap();
        second.send(2).unwrap();
        assert_eq!(answers.next().now_or_never(), None);
        first.send(1).unwrap();
        assert_eq!(answers.by_ref().collect::<Vec<_>>().await, [Ok(1), Ok(2), Ok(3)]);
    }

    #[tokio::test]
    async fn no_more_than_the_limit_is_taken() {
        let taken = Arc::new(AtomicUsize::new(0));
        let count = taken.clone();
        let (open, gate) = oneshot::channel::<()>();
        let gate = gate.shared();
        let source = stream::iter(0..100).map(move |number| {
            count.fetch_add(1, Ordering::SeqCst);
            gate.clone().map(move |_| number)
        });
        let mut answers = OrderedFutures::new(source, 10);
        assert_eq!(answers.next().now_or_never(), None);
        assert_eq!(taken.load(Ordering::SeqCst), 10);
        open.send(()).unwrap();
        assert_eq!(answers.next().await, Some(0));
        assert!(taken.load(Ordering::SeqCst) <= 11);
        assert_eq!(answers.count().await, 99);
    }

    #[tokio::test]
    async fn an_answer_wakes_the_reader() {
        let (sender, receiver) = oneshot::channel();
        let mut answers = OrderedFutures::new(stream::iter([receiver]).chain(stream::pending()), 10);
        let told = tokio::join!(answers.next(), async { sender.send(7).unwrap() }).0;
        assert_eq!(told, Some(Ok(7)));
    }
}
