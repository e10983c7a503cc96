//! The write database, as the steps of a batch use it.

use std::sync::Arc;

use crate::{breaker::Breaker, metrics::Metrics};

/// The write database with what the steps of a batch need beside it. Each step ([`super::load`], [`super::commit`],
/// [`super::confirm`]) adds its methods.
pub(super) struct StoreAccess<S> {
    pub(super) store: Arc<S>,
    pub(super) conflict_retries_max: usize,
    pub(super) metrics: Arc<Metrics>,
    /// Observes each call.
    pub(super) breaker: Arc<Breaker>,
}

impl<S> StoreAccess<S> {
    pub(super) fn new(
        store: Arc<S>,
        conflict_retries_max: usize,
        metrics: Arc<Metrics>,
        breaker: Arc<Breaker>,
    ) -> Self {
        Self { store, conflict_retries_max, metrics, breaker }
    }
}

impl<S> Clone for StoreAccess<S> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            metrics: Arc::clone(&self.metrics),
            breaker: Arc::clone(&self.breaker),
            ..*self
        }
    }
}
