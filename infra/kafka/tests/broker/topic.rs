//! Creation and look-up of the topic.

use diptych_kafka::{KafkaConfig, KafkaEventLog, ensure_topic};
use diptych_kernel::{
    Partitions,
    ports::{Effect, EventLog, PortError, Remedy},
};
use futures::future::join_all;
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
};
use std::time::Duration;

use crate::harness;

fn assert_operator_error(error: &PortError, parts: &[&str]) {
    assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Operator), "{error}");
    for part in parts {
        assert!(error.to_string().contains(part), "{part} is missing in: {error}");
    }
}

fn admin(servers: &str) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", servers).create().unwrap()
}

#[tokio::test]
async fn a_topic_is_created_once_as_configured() {
    let Some(servers) = harness::servers() else { return };
    let mut config = harness::config(&servers);
    config.retention = Duration::from_hours(48);
    let results = join_all((0..3).map(|_| ensure_topic(&config, harness::partitions()))).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    ensure_topic(&config, harness::partitions()).await.unwrap();
    assert_eq!(KafkaEventLog::open(config.clone()).await.unwrap().partitions(), harness::partitions());

    let topic = ResourceSpecifier::Topic(&config.topic);
    let mut described = admin(&servers).describe_configs([&topic], &AdminOptions::new()).await.unwrap();
    let described = described.remove(0).unwrap();
    let value = |name: &str| described.get(name).unwrap().value.clone().unwrap();
    assert_eq!(value("cleanup.policy"), "delete");
    assert_eq!(value("min.insync.replicas"), "1");
    assert_eq!(value("retention.ms"), "172800000");
    assert_eq!(value("unclean.leader.election.enable"), "false");
}

#[tokio::test]
async fn another_number_of_partitions_is_refused() {
    let Some(servers) = harness::servers() else { return };
    let config = harness::config(&servers);
    ensure_topic(&config, Partitions::new(3).unwrap()).await.unwrap();
    let error = ensure_topic(&config, harness::partitions()).await.unwrap_err();
    assert_operator_error(&error, &["has 3 partitions", "has 4", "Set another kafka.topic"]);
}

#[tokio::test]
async fn a_compacted_topic_is_refused() {
    let Some(servers) = harness::servers() else { return };
    let config = harness::config(&servers);
    let topic = NewTopic::new(&config.topic, i32::from(harness::PARTITIONS), TopicReplication::Fixed(1))
        .set("cleanup.policy", "compact");
    admin(&servers).create_topics([&topic], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    let error = ensure_topic(&config, harness::partitions()).await.unwrap_err();
    assert_operator_error(&error, &["cleanup.policy=compact", "set it to delete"]);
}

#[tokio::test]
async fn a_missing_topic_error_says_how_to_create_it() {
    let Some(servers) = harness::servers() else { return };
    let error = KafkaEventLog::open(harness::config(&servers)).await.unwrap_err();
    assert_operator_error(&error, &["does not exist", "diptych migrate"]);
}

#[tokio::test]
async fn more_replicas_than_brokers_are_refused() {
    let Some(servers) = harness::servers() else { return };
    let mut config = harness::config(&servers);
    config.replication_factor = 5;
    let error = ensure_topic(&config, harness::partitions()).await.unwrap_err();
    assert_operator_error(&error, &["cannot create topic", "fewer brokers than kafka.replication_factor"]);
}

#[tokio::test]
async fn an_unreachable_broker_is_a_retryable_error_with_its_address() {
    let mut config = harness::config("127.0.0.1:1");
    config.request_timeout = Duration::from_millis(300);
    let error = KafkaEventLog::open(config).await.unwrap_err();
    assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Retry), "{error}");
    for part in ["127.0.0.1:1", "kafka.bootstrap_servers"] {
        assert!(error.to_string().contains(part), "{part} is missing in: {error}");
    }
}

#[tokio::test]
async fn an_unknown_property_is_named_without_its_value() {
    let mut config = harness::config("127.0.0.1:1");
    config.extra.insert("sasl.pasword".into(), "open sesame".into());
    let error = KafkaEventLog::open(config).await.unwrap_err();
    assert_operator_error(&error, &["sasl.pasword"]);
    assert!(!error.to_string().contains("sesame"), "{error}");
}

/// Creates a topic that does not keep what the default configuration promises.
async fn create_unsafe_topic(config: &KafkaConfig) {
    let topic = NewTopic::new(&config.topic, i32::from(harness::PARTITIONS), TopicReplication::Fixed(1))
        .set("min.insync.replicas", "1")
        .set("retention.ms", "3600000")
        .set("retention.bytes", "1000000")
        .set("max.message.bytes", "1000")
        .set("unclean.leader.election.enable", "true");
    admin(&config.bootstrap_servers).create_topics([&topic], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
}

fn default_config(servers: &str) -> KafkaConfig {
    KafkaConfig::new(servers, harness::config(servers).topic)
}

#[tokio::test]
async fn an_existing_topic_that_is_unsafe_is_refused_with_every_reason_and_remedy() {
    let Some(servers) = harness::servers() else { return };
    let config = default_config(&servers);
    create_unsafe_topic(&config).await;
    let created = ensure_topic(&config, harness::partitions()).await.unwrap_err();
    let opened = KafkaEventLog::open(config.clone()).await.unwrap_err();
    let reasons = [
        "1 copies of partition 0 (kafka.replication_factor: 3)",
        "min.insync.replicas=1 (kafka.min_insync_replicas: 2)",
        "unclean.leader.election.enable=true",
        "retention.ms=3600000",
        "retention.bytes=1000000",
        "max.message.bytes=1000",
        "kafka.allow_unsafe_topic",
    ];
    assert_operator_error(&created, &reasons);
    assert_operator_error(&opened, &reasons);
}

#[tokio::test]
async fn an_unsafe_topic_is_used_if_a_setting_allows_it() {
    let Some(servers) = harness::servers() else { return };
    let mut config = default_config(&servers);
    create_unsafe_topic(&config).await;
    config.allow_unsafe_topic = true;
    ensure_topic(&config, harness::partitions()).await.unwrap();
    let log = KafkaEventLog::open(config).await.unwrap();
    log.append(&[harness::event(0, 1)]).await.unwrap();
}
