//! Maps librdkafka's error codes to port errors.

use diptych_kernel::{Partition, ports::PortError};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// Returns whether a record with this delivery error was certainly not stored. With every other code it may be stored,
/// also with that of a record that was purged while it waited (`PurgeQueue`): it may have been sent before, and be
/// waiting for a retry.
pub(crate) fn is_known_not_done(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        // The record never left this process.
        Code::QueueFull
            | Code::UnknownTopic
            | Code::UnknownPartition
            | Code::Authentication
            | Code::SSL
            | Code::Resolve
            // The broker refused it.
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

/// Returns whether the record was purged, because of another record's failure or of a timeout.
pub(crate) fn is_purged(code: RDKafkaErrorCode) -> bool {
    matches!(code, RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight)
}

/// Advice for the operator about a code, if a retry would fail in the same way.
pub(crate) fn advice(code: RDKafkaErrorCode) -> Option<&'static str> {
    use RDKafkaErrorCode as Code;
    Some(match code {
        Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism => {
            "check the user, the password and the SASL mechanism in kafka.extra"
        }
        Code::SSL => "check the certificates in kafka.extra",
        Code::TopicAuthorizationFailed => "allow this user to read and write the topic",
        Code::GroupAuthorizationFailed => "allow this user to read with the group",
        Code::ClusterAuthorizationFailed => "allow this user to write idempotently",
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize => {
            "raise the topic's max.message.bytes"
        }
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => {
            "run `diptych migrate`, which creates the topic"
        }
        Code::InvalidSessionTimeout => {
            "set kafka.session_timeout within the broker's group.min.session.timeout.ms and \
             group.max.session.timeout.ms"
        }
        Code::InconsistentGroupProtocol => {
            "another program uses the group with another assignment strategy: give each program its own group"
        }
        Code::FencedInstanceId => {
            "another process has joined under the same instance name and has its partitions now: give each process its \
             own name (--instance, or DIPTYCH_INSTANCE)"
        }
        Code::InvalidReplicationFactor => {
            "there are fewer brokers than kafka.replication_factor: lower it, or add brokers"
        }
        Code::InvalidConfig | Code::PolicyViolation | Code::InvalidTopic | Code::InvalidRecord => {
            "the broker refuses it: see its log"
        }
        Code::UnsupportedVersion | Code::UnsupportedFeature => "upgrade the brokers to Kafka 2.4 or newer",
        _ => return None,
    })
}

/// The error of a request that changed nothing. It can be retried, unless an operator has to act first.
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

/// The error of a client that could not be created, because of its properties. Their values are left out: they may be
/// secrets.
pub(crate) fn client_creation(error: KafkaError) -> PortError {
    match error {
        KafkaError::ClientConfig(_, description, key, _) => {
            PortError::operator(format!("invalid Kafka property {key}: {description}; check kafka.extra"))
        }
        error => PortError::operator("cannot create a Kafka client; check kafka.extra").caused_by(error),
    }
}

/// The error of a partition list that could not be built, which only an invalid offset can cause.
pub(crate) fn partition_list(error: KafkaError) -> PortError {
    PortError::operator("an offset is out of Kafka's range").caused_by(error)
}

/// The error of a Diptych record that cannot be decoded, or that is of another installation.
pub(crate) fn unreadable_record(topic: &str, partition: Partition, offset: u64, reason: &str) -> PortError {
    PortError::operator(format!(
        "cannot use the record at offset {offset} of partition {partition} of topic {topic}: {reason}"
    ))
}
