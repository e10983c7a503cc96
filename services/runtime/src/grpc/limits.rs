//! What one server allows.

use std::time::Duration;

/// What one server allows. Everything that a client can make grow has a bound here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How large a message from a client may be, in bytes. Generated servers take it with `max_decoding_message_size`.
    pub message_received_bytes_max: usize,
    /// How large an answer may be, in bytes. Generated servers take it with `max_encoding_message_size`.
    pub message_sent_bytes_max: usize,
    /// How many connections are open at once. Further ones wait to be accepted.
    pub connections_max: usize,
    /// How many calls one connection may have open. Further ones wait in the client.
    pub calls_per_connection_max: u32,
    /// How many calls may be worked on at once, over all connections. Further ones are answered OVERLOADED. A streaming call
    /// counts only until its first answer; health and reflection do not count.
    pub calls_in_flight_max: usize,
    /// How long a call may take until its first answer. A client's own deadline counts if it is earlier.
    pub call_duration_max: Duration,
    /// How often a silent connection is asked whether it still lives.
    pub keepalive_interval: Duration,
    /// How long it may take to answer that.
    pub keepalive_timeout: Duration,
    /// After how long a connection is asked to end, so that clients spread over new servers. Its open calls go on to their end.
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
