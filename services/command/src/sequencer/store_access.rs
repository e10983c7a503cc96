//! The write database, as the steps of a batch use it.

use std::sync::Arc;

use crate::{breaker::Breaker, metrics::Metrics, queueing::QueueIndex};

/// The write database with what the steps of a batch need beside it. Each step ([`super::load`], [`super::commit`],
/// [`super::confirm`]) adds its methods.
pub(super) struct StoreAccess<S> {
    pub(super) store: Arc<S>,
    pub(super) conflict_retries_max: usize,
    pub(super) metrics: Arc<Metrics>,
    /// Observes each call.
    pub(super) breaker: Arc<Breaker>,
    /// Commands that others must not overtake.
    pub(super) queue_index: Arc<QueueIndex>,
}

impl<S> StoreAccess<S> {
    pub(super) fn new(
        store: Arc<S>,
        conflict_retries_max: usize,
        metrics: Arc<Metrics>,
        (breaker, queue_index): (Arc<Breaker>, Arc<QueueIndex>),
    ) -> Self {
        Self { store, conflict_retries_max, metrics, breaker, queue_index }
    }
}

impl<S> Clone for StoreAccess<S> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            metrics: Arc::clone(&self.metrics),
            breaker: Arc::clone(&self.breaker),
            queue_index: Arc::clone(&self.queue_index),
            ..*self
        }
    }
}
