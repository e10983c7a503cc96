//! Settings and state that a connection shares with its task.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use diptych_runtime::Backoff;
use tracing::warn;

use super::{pending_invalidations::PendingInvalidations, socket::Timeouts};
use crate::{
    config::MemcachedConfig,
    key::{Key, Keys},
    metrics::ConnectionMetrics,
};

/// Settings common to all connections of a cache.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionSettings {
    pub(super) probe_key: Key,
    pub(super) timeouts: Timeouts,
    reconnect_delay_min: Duration,
    reconnect_delay_max: Duration,
}

impl ConnectionSettings {
    pub(crate) fn new(config: &MemcachedConfig, keys: &Keys) -> Self {
        Self {
            probe_key: keys.of_probe(),
            timeouts: Timeouts { connect: config.connect_timeout, request: config.request_timeout },
            reconnect_delay_min: config.reconnect_delay_min,
            reconnect_delay_max: config.reconnect_delay_max,
        }
    }

    pub(super) fn reconnect_delays(&self) -> Backoff {
        Backoff::new(self.reconnect_delay_min, self.reconnect_delay_max)
    }
}

/// State shared by a connection and its task.
pub(super) struct ConnectionState {
    pub(super) server: Arc<str>,
    is_down: AtomicBool,
    has_refused: AtomicBool,
    pub(super) pending_invalidations: PendingInvalidations,
    pub(super) metrics: ConnectionMetrics,
}

impl ConnectionState {
    pub(super) fn new(server: &str) -> Self {
        Self {
            server: server.into(),
            is_down: AtomicBool::new(false),
            has_refused: AtomicBool::new(false),
            pending_invalidations: PendingInvalidations::default(),
            metrics: ConnectionMetrics::new(server),
        }
    }

    pub(super) fn is_down(&self) -> bool {
        self.is_down.load(Ordering::Acquire)
    }

    /// Sets the flag and returns whether it changed.
    pub(super) fn set_down(&self, is_down: bool) -> bool {
        self.is_down.swap(is_down, Ordering::AcqRel) != is_down
    }

    pub(super) fn record_refusal(&self, refusal: &memcache::exp::Error) {
        self.metrics.refused.increment(1);
        if !self.has_refused.swap(true, Ordering::Relaxed) {
            let server = &self.server;
            warn!(%server, %refusal, "a cache server refused a command; later refusals are only counted");
        }
    }
}
