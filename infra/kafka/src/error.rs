//! From librdkafka's codes to what a caller is to do.

use diptych_kernel::ports::PortError;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// Codes with which a record was certainly not stored. Every other code leaves that open, also the one of a record that was thrown away
/// while it waited (`PurgeQueue`): it may have been sent before, and be waiting to be sent again.
pub(crate) fn is_known_not_done(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        // It never left this process.
        Code::QueueFull
            | Code::UnknownTopic
            | Code::UnknownPartition
            | Code::Authentication
            | Code::SSL
            | Code::Resolve
            // The broker says so.
            | Code::MessageSizeTooLarge
            | Code::MessageBatchTooLarge
            | Code::InvalidMessageSize
            | Code::InvalidRecord
            | Code::InvalidDifferentRecord
            | Code::InvalidTimestamp
            | Code::InvalidTopic
            | Code::UnknownTopicOrPartition
            | Code::UnsupportedCompressionType
            | Code::NotEnoughReplicas
            | Code::PolicyViolation
            | Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::SaslAuthenticationFailed
    )
}

/// What a person has to do about a code, where asking again gives the same answer.
pub(crate) fn advice(code: RDKafkaErrorCode) -> Option<&'static str> {
    use RDKafkaErrorCode as Code;
    Some(match code {
        Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism => {
            "check the user, the password and the mechanism in the further properties of Kafka"
        }
        Code::SSL => "check the certificates in the further properties of Kafka",
        Code::TopicAuthorizationFailed => "allow this user to read and write the topic",
        Code::GroupAuthorizationFailed => "allow this user to read with the group",
        Code::ClusterAuthorizationFailed => "allow this user to write idempotently",
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize => {
            "raise the topic's max.message.bytes"
        }
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => {
            "run `diptych migrate`, which makes the topic"
        }
        Code::InvalidSessionTimeout => {
            "choose a session within the broker's group.min.session.timeout.ms and group.max.session.timeout.ms"
        }
        Code::InconsistentGroupProtocol => {
            "another program uses the group with another assignment strategy: give each program its own group"
        }
        Code::FencedInstanceId => "another member has joined under the same name: give each member its own name",
        Code::InvalidReplicationFactor => "there are fewer brokers than the replication factor",
        Code::InvalidConfig | Code::PolicyViolation | Code::InvalidTopic | Code::InvalidRecord => {
            "the broker refuses it: see its log"
        }
        Code::UnsupportedVersion | Code::UnsupportedFeature => "Kafka 2.4 or newer is needed",
        _ => return None,
    })
}

/// Something that was asked for and changes nothing, or did not happen: it can be asked again unless a person has to do something first.
pub(crate) fn not_done(what: impl Into<String>, error: KafkaError) -> PortError {
    let code = error.rdkafka_error_code().or(match error {
        KafkaError::AdminOp(code) => Some(code),
        _ => None,
    });
    match code.and_then(advice) {
        Some(advice) => PortError::operator(format!("{}; {advice}", what.into())).caused_by(error),
        None => PortError::not_done(what).caused_by(error),
    }
}

/// A client could not be made, so the configuration is wrong. Values are left out, because they may be secrets.
pub(crate) fn client(error: KafkaError) -> PortError {
    match error {
        KafkaError::ClientConfig(_, description, key, _) => {
            PortError::operator(format!("the property {key} of Kafka is refused: {description}"))
        }
        error => PortError::operator("a client for Kafka cannot be made; check its properties").caused_by(error),
    }
}

/// A list of partitions could not be made, which only wrong offsets can cause.
pub(crate) fn partition_list(error: KafkaError) -> PortError {
    PortError::operator("offsets do not fit into Kafka's").caused_by(error)
}
