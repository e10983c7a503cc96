//! Limits of a server.

use std::time::Duration;

/// Limits of a server. Everything that a client can make grow is bounded here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest message from a client, in bytes. To be set on generated services with `max_decoding_message_size`.
    pub message_received_bytes_max: usize,
    /// Largest response message, in bytes. To be set on generated services with `max_encoding_message_size`.
    pub message_sent_bytes_max: usize,
    /// Largest number of open connections. Further ones wait to be accepted.
    pub connections_max: usize,
    /// Largest number of open calls per connection. Further ones wait in the client.
    pub calls_per_connection_max: u32,
    /// Largest number of calls in progress over all connections. Further ones fail with OVERLOADED. A streaming call
    /// counts only until its first response; health and reflection do not count.
    pub calls_in_flight_max: usize,
    /// Longest time from a call to its first response. A client's own deadline applies if it is earlier.
    pub call_duration_max: Duration,
    /// Interval of keepalive pings on an idle connection.
    pub keepalive_interval: Duration,
    /// Longest time to the response to a keepalive ping.
    pub keepalive_timeout: Duration,
    /// Age at which a connection is closed gracefully, so that clients connect to new servers too. Its open calls are
    /// completed.
    pub connection_age_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_received_bytes_max: 1024 * 1024,
            message_sent_bytes_max: 4 * 1024 * 1024,
            connections_max: 1_024,
            calls_per_connection_max: 256,
            calls_in_flight_max: 4_096,
            call_duration_max: Duration::from_secs(30),
            keepalive_interval: Duration::from_secs(20),
            keepalive_timeout: Duration::from_secs(10),
            connection_age_max: Duration::from_secs(30 * 60),
        }
    }
}
