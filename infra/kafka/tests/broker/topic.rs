//! Making the topic, and finding it.

use diptych_kafka::{KafkaEventLog, ensure_topic};
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

use crate::site;

fn assert_for_a_person(error: &PortError, parts: &[&str]) {
    assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Operator), "{error}");
    for part in parts {
        assert!(error.to_string().contains(part), "{part} is missing in: {error}");
    }
}

fn admin(servers: &str) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", servers).create().unwrap()
}

#[tokio::test]
async fn a_topic_is_made_once_as_it_is_configured() {
    let Some(servers) = site::servers() else { return };
    let mut config = site::config(&servers);
    config.retention = Duration::from_hours(48);
    let made = join_all((0..3).map(|_| ensure_topic(&config, site::partitions()))).await;
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    ensure_topic(&config, site::partitions()).await.unwrap();
    assert_eq!(KafkaEventLog::open(config.clone()).await.unwrap().partitions(), site::partitions());

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
    let Some(servers) = site::servers() else { return };
    let config = site::config(&servers);
    ensure_topic(&config, Partitions::new(3).unwrap()).await.unwrap();
    let error = ensure_topic(&config, site::partitions()).await.unwrap_err();
    assert_for_a_person(&error, &["has 3 partitions", "has 4", "Name another topic"]);
}

#[tokio::test]
async fn a_compacted_topic_is_refused() {
    let Some(servers) = site::servers() else { return };
    let config = site::config(&servers);
    let topic = NewTopic::new(&config.topic, i32::from(site::PARTITIONS), TopicReplication::Fixed(1))
        .set("cleanup.policy", "compact");
    admin(&servers).create_topics([&topic], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    let error = ensure_topic(&config, site::partitions()).await.unwrap_err();
    assert_for_a_person(&error, &["cleanup.policy=compact", "set it to delete"]);
}

#[tokio::test]
async fn a_missing_topic_says_how_to_make_it() {
    let Some(servers) = site::servers() else { return };
    let error = KafkaEventLog::open(site::config(&servers)).await.unwrap_err();
    assert_for_a_person(&error, &["there is no topic", "diptych migrate"]);
}

#[tokio::test]
async fn more_replicas_than_brokers_are_refused() {
    let Some(servers) = site::servers() else { return };
    let mut config = site::config(&servers);
    config.replication_factor = 5;
    let error = ensure_topic(&config, site::partitions()).await.unwrap_err();
    assert_for_a_person(&error, &["cannot be made", "fewer brokers than the replication factor"]);
}

#[tokio::test]
async fn a_broker_that_is_not_there_can_be_asked_again() {
    let mut config = site::config("127.0.0.1:1");
    config.answer_wait_max = Duration::from_millis(300);
    let error = KafkaEventLog::open(config).await.unwrap_err();
    assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Retry), "{error}");
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
}

#[tokio::test]
async fn a_property_that_does_not_exist_is_named_without_its_value() {
    let mut config = site::config("127.0.0.1:1");
    config.extra.insert("sasl.pasword".into(), "open sesame".into());
    let error = KafkaEventLog::open(config).await.unwrap_err();
    assert_for_a_person(&error, &["sasl.pasword"]);
    assert!(!error.to_string().contains("sesame"), "{error}");
}
