//! What is counted. Handles are made once, so that counting is one addition; the recorder must be installed before the cache is opened.

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

/// The counters of one cache.
pub(crate) struct CacheMetrics {
    pub(crate) undecodable: Counter,
    pub(crate) disbelieved: Counter,
    pub(crate) oversized: Counter,
    pub(crate) contended: Counter,
}

/// The counters of one connection, by server.
pub(crate) struct LaneMetrics {
    pub(crate) failures: Counter,
    pub(crate) unreachable: Counter,
    pub(crate) refused: Counter,
    pub(crate) repaired: Counter,
    pub(crate) unrepaired: Counter,
    pub(crate) connections: Gauge,
    pub(crate) batch_commands: Histogram,
}

impl CacheMetrics {
    pub(crate) fn new() -> Self {
        describe();
        Self {
            undecodable: counter!("diptych_memcached_undecodable_total"),
            disbelieved: counter!("diptych_memcached_disbelieved_total"),
            oversized: counter!("diptych_memcached_oversized_total"),
            contended: counter!("diptych_memcached_contended_total"),
        }
    }
}

impl LaneMetrics {
    pub(crate) fn new(server: &str) -> Self {
        let server = || server.to_owned();
        Self {
            failures: counter!("diptych_memcached_server_failures_total", "server" => server()),
            unreachable: counter!("diptych_memcached_server_unreachable_total", "server" => server()),
            refused: counter!("diptych_memcached_server_refusals_total", "server" => server()),
            repaired: counter!("diptych_memcached_repaired_keys_total", "server" => server()),
            unrepaired: counter!("diptych_memcached_unrepaired_keys_total", "server" => server()),
            connections: gauge!("diptych_memcached_server_connections", "server" => server()),
            batch_commands: histogram!("diptych_memcached_batch_commands", "server" => server()),
        }
    }
}

fn describe() {
    describe_counter!("diptych_memcached_undecodable_total", "Cached values of no known format, which count as misses");
    describe_counter!(
        "diptych_memcached_disbelieved_total",
        "Cached values from before a server was out of reach, which count as misses (G7)"
    );
    describe_counter!("diptych_memcached_oversized_total", "Rows that were not cached because they are too large");
    describe_counter!(
        "diptych_memcached_contended_total",
        "Rows that others kept changing during a refresh, and that were forgotten instead"
    );
    describe_counter!(
        "diptych_memcached_server_failures_total",
        "Connections and round trips that failed or took too long"
    );
    describe_counter!(
        "diptych_memcached_server_unreachable_total",
        "Calls that were not even tried because the server is down"
    );
    describe_counter!("diptych_memcached_server_refusals_total", "Commands that a server did not carry out");
    describe_counter!(
        "diptych_memcached_repaired_keys_total",
        "Keys that were forgotten because a call for them had failed (G7)"
    );
    describe_counter!(
        "diptych_memcached_unrepaired_keys_total",
        "Keys that should have been forgotten, but there were too many to remember"
    );
    describe_gauge!("diptych_memcached_server_connections", "Connections that work");
    describe_histogram!("diptych_memcached_batch_commands", "Commands that shared a round trip");
}
