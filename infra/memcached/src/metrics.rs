//! Metrics of the cache. Handles are created once, so that counting is one addition; the recorder must be installed
//! before the cache is opened.

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

/// Metrics of one cache.
pub(crate) struct CacheMetrics {
    pub(crate) undecodable: Counter,
    pub(crate) possibly_stale: Counter,
    pub(crate) oversized: Counter,
    pub(crate) contended: Counter,
}

/// Metrics of one connection, labelled by server.
pub(crate) struct ConnectionMetrics {
    pub(crate) failures: Counter,
    pub(crate) unreachable: Counter,
    pub(crate) refused: Counter,
    pub(crate) invalidations_completed: Counter,
    pub(crate) invalidations_dropped: Counter,
    pub(crate) connections: Gauge,
    pub(crate) batch_commands: Histogram,
}

impl CacheMetrics {
    pub(crate) fn new() -> Self {
        describe();
        Self {
            undecodable: counter!("diptych_memcached_undecodable_total"),
            possibly_stale: counter!("diptych_memcached_possibly_stale_total"),
            oversized: counter!("diptych_memcached_oversized_total"),
            contended: counter!("diptych_memcached_contended_total"),
        }
    }
}

impl ConnectionMetrics {
    pub(crate) fn new(server: &str) -> Self {
        let server = || server.to_owned();
        let completed = "diptych_memcached_pending_invalidations_completed_total";
        let dropped = "diptych_memcached_pending_invalidations_dropped_total";
        Self {
            failures: counter!("diptych_memcached_server_failures_total", "server" => server()),
            unreachable: counter!("diptych_memcached_server_unreachable_total", "server" => server()),
            refused: counter!("diptych_memcached_server_refusals_total", "server" => server()),
            invalidations_completed: counter!(completed, "server" => server()),
            invalidations_dropped: counter!(dropped, "server" => server()),
            connections: gauge!("diptych_memcached_server_connections", "server" => server()),
            batch_commands: histogram!("diptych_memcached_batch_commands", "server" => server()),
        }
    }
}

fn describe() {
    describe_counter!(
        "diptych_memcached_undecodable_total",
        "Cached values in an unknown format, which were treated as misses"
    );
    describe_counter!(
        "diptych_memcached_possibly_stale_total",
        "Cached values stored before more keys had failed than are kept, which were treated as misses (G7)"
    );
    describe_counter!("diptych_memcached_oversized_total", "Rows that were not cached because they are too large");
    describe_counter!(
        "diptych_memcached_contended_total",
        "Rows whose key other clients kept changing during a refresh, and that were invalidated instead"
    );
    describe_counter!(
        "diptych_memcached_server_failures_total",
        "Connection attempts and round trips that failed or timed out"
    );
    describe_counter!(
        "diptych_memcached_server_unreachable_total",
        "Calls that were not attempted because the server is down"
    );
    describe_counter!("diptych_memcached_server_refusals_total", "Commands that a server refused");
    describe_counter!(
        "diptych_memcached_pending_invalidations_completed_total",
        "Keys invalidated afterwards because a call for them had failed or was cancelled (G7)"
    );
    describe_counter!(
        "diptych_memcached_pending_invalidations_dropped_total",
        "Keys not added to the pending invalidations because of their limit; everything cached before is a miss instead"
    );
    describe_gauge!("diptych_memcached_server_connections", "Open connections");
    describe_histogram!("diptych_memcached_batch_commands", "Commands per round trip");
}
