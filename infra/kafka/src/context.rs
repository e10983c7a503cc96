//! What librdkafka says, as lines of the log.

use diptych_runtime::KeyedLogLimiter;
use rdkafka::{
    ClientContext, Statistics,
    config::RDKafkaLogLevel,
    consumer::ConsumerContext,
    error::{KafkaError, RDKafkaErrorCode},
};

/// Writes what a client says to the log, the same thing once in ten seconds: a broker that is down is worth one line, not a hundred.
///
/// What librdkafka calls an error is a failed attempt that it makes again, and what it calls fatal is the end of a client that is replaced,
/// so they are warnings here. What did not succeed in the end is an error of the call.
#[derive(Debug, Default)]
pub(crate) struct Talk {
    limit: KeyedLogLimiter,
}

impl Talk {
    pub(crate) fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            // Remarks on the configuration are for who wrote this crate: what users configure is checked elsewhere.
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

/// The context of a client that does nothing of its own.
#[derive(Debug, Default)]
pub(crate) struct PlainContext {
    talk: Talk,
}

impl ClientContext for PlainContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.talk.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.talk.error(&error, reason);
    }

    fn stats(&self, _: Statistics) {}
}

impl ConsumerContext for PlainContext {}
