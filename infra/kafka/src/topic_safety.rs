//! Safety of an existing topic: whether it keeps what the settings promise.

use std::{collections::HashMap, sync::Arc};

use diptych_kernel::ports::{PortError, PortResult};
use rdkafka::{
    admin::{AdminClient, AdminOptions, ResourceSpecifier},
    error::KafkaError,
};

use crate::{client_config, client_context::PlainContext, config::KafkaConfig};

/// Partitions and replication of a topic.
#[derive(Debug)]
pub(crate) struct TopicLayout {
    /// Number of partitions.
    pub(crate) partitions: usize,
    /// The partition with the fewest replicas, and their number.
    pub(crate) replicas_min: Option<(i32, usize)>,
}

/// Refuses a topic that may lose records, or delete them early, by its replication or its configuration, unless
/// [`KafkaConfig::allow_unsafe_topic`] is set; then it is a warning. A compacted topic is always refused: it would keep
/// one record of each stream.
pub(crate) async fn check_is_safe(
    config: &Arc<KafkaConfig>,
    admin: &AdminClient<PlainContext>,
    layout: &TopicLayout,
) -> PortResult<()> {
    let topic = &config.topic;
    let properties = match describe(config, admin).await {
        Ok(properties) => properties,
        // A user without permission to describe the configuration may still use the topic.
        Err(error) => {
            tracing::warn!(
                topic,
                %error,
                "cannot read the configuration of the topic; make sure that its cleanup.policy is delete, and that \
                 unclean.leader.election.enable, min.insync.replicas and retention.ms are as they should be"
            );
            HashMap::new()
        }
    };
    if let Some(policy) = properties.get("cleanup.policy").filter(|policy| *policy != "delete") {
        return Err(PortError::operator(format!(
            "topic {topic} has cleanup.policy={policy}, which deletes events too early: set it to delete"
        )));
    }
    let dangers = dangers(config, layout, &properties);
    if dangers.is_empty() {
        return Ok(());
    }
    let dangers = dangers.join("; ");
    if config.allow_unsafe_topic {
        tracing::warn!(topic, dangers, "the topic is unsafe, and kafka.allow_unsafe_topic is set");
        return Ok(());
    }
    Err(PortError::operator(format!(
        "topic {topic} is unsafe: {dangers}. Change the topic (kafka-configs --alter for its configuration, \
         kafka-reassign-partitions for its copies), or the settings if they promise too much, or set \
         kafka.allow_unsafe_topic=true"
    )))
}

/// Reads the configuration of the topic, defaults of the brokers included.
async fn describe(
    config: &KafkaConfig,
    admin: &AdminClient<PlainContext>,
) -> Result<HashMap<String, String>, KafkaError> {
    let options = AdminOptions::new().request_timeout(Some(config.request_timeout));
    let described = admin.describe_configs([&ResourceSpecifier::Topic(&config.topic)], &options).await?;
    let resource = described.into_iter().next().transpose().map_err(KafkaError::AdminOp)?;
    let entries = resource.map(|resource| resource.entries).unwrap_or_default();
    Ok(entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect())
}

/// Describes everything by which the topic keeps less than the settings promise: value, consequence and remedy. What is
/// not known is not reported.
fn dangers(config: &KafkaConfig, layout: &TopicLayout, properties: &HashMap<String, String>) -> Vec<String> {
    let value = |name: &str| properties.get(name).map(String::as_str);
    let number = |name: &str| value(name).and_then(|text| text.parse::<i64>().ok());
    let mut dangers = Vec::new();
    let (copies, wanted) = (layout.replicas_min, usize::from(config.replication_factor));
    if let Some((partition, copies)) = copies.filter(|(_, copies)| *copies < wanted) {
        dangers.push(format!("{copies} copies of partition {partition} (kafka.replication_factor: {wanted})"));
    }
    let wanted = i64::from(config.min_insync_replicas);
    if let Some(value) = number("min.insync.replicas").filter(|value| *value < wanted) {
        dangers.push(format!(
            "min.insync.replicas={value} (kafka.min_insync_replicas: {wanted}): acknowledged records may be lost with \
             the loss of {value} broker(s): set it to {wanted}"
        ));
    }
    if value("unclean.leader.election.enable") == Some("true") {
        dangers.push(
            "unclean.leader.election.enable=true: a broker that lacks acknowledged records may become leader, and they \
             are lost: set it to false"
                .to_owned(),
        );
    }
    let wanted = i64::try_from(config.retention.as_millis()).unwrap_or(i64::MAX);
    if let Some(value) = number("retention.ms").filter(|value| (0..wanted).contains(value)) {
        dangers.push(format!(
            "retention.ms={value} (kafka.retention: {wanted} ms): records are deleted too early: set it to {wanted}"
        ));
    }
    if let Some(value) = number("retention.bytes").filter(|value| *value >= 0) {
        dangers.push(format!(
            "retention.bytes={value}: records are deleted by size, however young they are: set it to -1"
        ));
    }
    let wanted = i64::from(config.record_bytes_max);
    if let Some(value) = number("max.message.bytes").filter(|value| *value < wanted) {
        dangers.push(format!(
            "max.message.bytes={value}: records of up to {wanted} bytes are written, and a larger one would stop the \
             relay: set it to {} or more",
            client_config::BROKER_RECORD_BYTES_MAX
        ));
    }
    dangers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(values: &[(&str, &str)]) -> HashMap<String, String> {
        let safe = [
            ("min.insync.replicas", "2"),
            ("unclean.leader.election.enable", "false"),
            ("retention.ms", "1209600000"),
            ("retention.bytes", "-1"),
            ("max.message.bytes", "1048588"),
        ];
        safe.iter().chain(values).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn dangers_of(copies: usize, values: &[(&str, &str)]) -> Vec<String> {
        let layout = TopicLayout { partitions: 4, replicas_min: Some((2, copies)) };
        dangers(&KafkaConfig::new("127.0.0.1:9092", "events"), &layout, &properties(values))
    }

    #[test]
    fn a_topic_that_keeps_what_the_settings_promise_is_safe() {
        assert_eq!(dangers_of(3, &[]), Vec::<String>::new());
        assert_eq!(dangers_of(5, &[("min.insync.replicas", "3"), ("retention.ms", "-1")]), Vec::<String>::new());
    }

    #[test]
    fn each_danger_is_named_with_its_value() {
        for (copies, values, part) in [
            (2, vec![], "2 copies of partition 2"),
            (3, vec![("min.insync.replicas", "1")], "min.insync.replicas=1"),
            (3, vec![("unclean.leader.election.enable", "true")], "unclean.leader.election.enable=true"),
            (3, vec![("retention.ms", "60000")], "retention.ms=60000"),
            (3, vec![("retention.bytes", "1")], "retention.bytes=1"),
            (3, vec![("max.message.bytes", "999999")], "max.message.bytes=999999"),
        ] {
            let dangers = dangers_of(copies, &values);
            assert!(dangers.len() == 1 && dangers[0].contains(part), "{part}: {dangers:?}");
        }
    }

    #[test]
    fn a_configuration_that_cannot_be_read_is_not_reported_as_unsafe() {
        let layout = TopicLayout { partitions: 4, replicas_min: Some((0, 3)) };
        let config = KafkaConfig::new("127.0.0.1:9092", "events");
        assert_eq!(dangers(&config, &layout, &HashMap::new()), Vec::<String>::new());
    }
}
