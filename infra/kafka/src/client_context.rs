//! Forwards librdkafka's log lines and errors to the log.

use diptych_runtime::KeyedLogLimiter;
use rdkafka::{
    ClientContext, Statistics,
    config::RDKafkaLogLevel,
    consumer::ConsumerContext,
    error::{KafkaError, RDKafkaErrorCode},
};

/// Logs what a client reports, each kind of message at most once in ten seconds: a broker that is down is worth one
/// line, not a hundred.
///
/// librdkafka retries after what it calls an error, and a client with what it calls a fatal error is replaced, so both
/// are warnings here. An operation that failed in the end returns an error to its caller.
#[derive(Debug, Default)]
pub(crate) struct ClientLog {
    limit: KeyedLogLimiter,
}

impl ClientLog {
    pub(crate) fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            // Warnings about properties concern this crate's own choices; users' settings are checked in `config`.
            RDKafkaLogLevel::Warning if facility == "CONFWARN" => tracing::debug!(facility, message, "librdkafka"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
                tracing::debug!(facility, message, "librdkafka");
            }
            _ => {
                if let Some(suppressed) = self.limit.allow(facility) {
                    tracing::warn!(facility, message, suppressed, "librdkafka");
                }
            }
        }
    }

    pub(crate) fn error(&self, error: &KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        if code == RDKafkaErrorCode::PartitionEOF {
            return;
        }
        if let Some(suppressed) = self.limit.allow(&format!("{code:?}")) {
            tracing::warn!(?code, reason, suppressed, "librdkafka");
        }
    }
}

/// Context of a client without callbacks of its own.
#[derive(Debug, Default)]
pub(crate) struct PlainContext {
    client_log: ClientLog,
}

impl ClientContext for PlainContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.client_log.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.client_log.error(&error, reason);
    }

    fn stats(&self, _: Statistics) {}
}

impl ConsumerContext for PlainContext {}
