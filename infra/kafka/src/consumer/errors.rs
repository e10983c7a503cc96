//! Errors that librdkafka reports to a poll.

use diptych_kernel::ports::PortError;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::identity::MemberIdentity;
use crate::error::{advice, not_done};

/// Converts an error that concerns the user. Returns `None` for errors that librdkafka retries by itself.
pub(super) fn port_error(identity: &MemberIdentity, error: KafkaError) -> Option<PortError> {
    match error {
        KafkaError::MessageConsumptionFatal(code) => {
            let advice = advice(code).unwrap_or("restart the process");
            Some(PortError::operator(format!("{identity} cannot continue: {code}; {advice}")))
        }
        KafkaError::MessageConsumption(RDKafkaErrorCode::AllBrokersDown) => {
            let servers = &identity.config.bootstrap_servers;
            Some(PortError::not_done(format!(
                "{identity} cannot reach any broker: check {servers} (kafka.bootstrap_servers)"
            )))
        }
        KafkaError::MessageConsumption(code) if advice(code).is_some() => {
            Some(not_done(format!("{identity} cannot read"), error))
        }
        error => {
            tracing::debug!(member = %identity, %error, "librdkafka retries");
            None
        }
    }
}
