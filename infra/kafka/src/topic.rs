//! The topic: made once, looked up at every start.

use std::{sync::Arc, time::Duration};

use diptych_kernel::{
    Partitions,
    ports::{PortError, PortResult},
};
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
};
use tokio::time::{Instant, sleep};

use crate::{
    blocking::run_blocking,
    client,
    config::KafkaConfig,
    context::PlainContext,
    error::{self, not_done},
};

/// How long to wait before looking again whether a new topic is there.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Makes the topic of the events where it is missing, with the number of partitions, the replication and the retention of the
/// configuration, and returns when it can be used. Several may call it at the same time, and it may be called again.
///
/// # Errors
/// When the brokers cannot be reached or refuse, and when the topic is there and is another one than this installation needs: with
/// another number of partitions, or compacted, which would delete events. Nothing of an existing topic is changed.
pub async fn ensure_topic(config: &KafkaConfig, partitions: Partitions) -> PortResult<()> {
    config.check()?;
    let config = Arc::new(config.clone());
    let found = match look_up(Arc::clone(&config)).await? {
        Some(found) => found,
        None => {
            create(Arc::clone(&config), partitions).await?;
            wait_for_topic(&config).await?
        }
    };
    if found != usize::from(partitions.count()) {
        return Err(other_count(&config.topic, found, partitions));
    }
    check_is_not_compacted(config).await
}

/// How many partitions the topic has.
pub(crate) async fn partitions_of(config: &Arc<KafkaConfig>) -> PortResult<Partitions> {
    let topic = &config.topic;
    let Some(found) = look_up(Arc::clone(config)).await? else {
        return Err(PortError::operator(format!("there is no topic {topic}: run `diptych migrate`, which makes it")));
    };
    let partitions = u16::try_from(found).ok().and_then(|count| Partitions::new(count).ok());
    partitions.ok_or_else(|| {
        let most = Partitions::MAX;
        PortError::operator(format!("topic {topic} has {found} partitions, and an installation has 1 to {most}"))
    })
}

fn other_count(topic: &str, found: usize, partitions: Partitions) -> PortError {
    let wanted = partitions.count();
    PortError::operator(format!(
        "topic {topic} has {found} partitions, and this installation has {wanted}, as it was created with. Name another topic in the \
         configuration, or delete this one if nothing needs it any more, and run `diptych migrate` again; partitions cannot be changed \
         afterwards, since streams would move to others"
    ))
}

async fn look_up(config: Arc<KafkaConfig>) -> PortResult<Option<usize>> {
    run_blocking("look up the topic", move || look_up_blocking(&config)).await
}

/// The number of partitions; `None` where there is no topic, or the brokers only just hear of it.
fn look_up_blocking(config: &KafkaConfig) -> PortResult<Option<usize>> {
    let what = || format!("the topic {} cannot be looked up at {}", config.topic, config.bootstrap_servers);
    let consumer: BaseConsumer<PlainContext> =
        client::admin(config).create_with_context(PlainContext::default()).map_err(error::client)?;
    let metadata = match consumer.fetch_metadata(Some(&config.topic), config.answer_wait_max) {
        Ok(metadata) => metadata,
        Err(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic)) => {
            return Ok(None);
        }
        Err(error) => return Err(not_done(what(), error)),
    };
    let Some(topic) = metadata.topics().first() else { return Ok(None) };
    match topic.error().map(RDKafkaErrorCode::from) {
        None => {}
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::LeaderNotAvailable) => return Ok(None),
        Some(code) => return Err(not_done(what(), KafkaError::MetadataFetch(code))),
    }
    Ok(Some(topic.partitions().len()))
}

async fn create(config: Arc<KafkaConfig>, partitions: Partitions) -> PortResult<()> {
    let admin = admin(&config)?;
    let (min_insync, retention) = (config.min_insync_replicas.to_string(), client::millis(config.retention));
    let topic = NewTopic::new(
        &config.topic,
        i32::from(partitions.count()),
        TopicReplication::Fixed(i32::from(config.replication_factor)),
    )
    .set("cleanup.policy", "delete")
    .set("min.insync.replicas", &min_insync)
    .set("retention.ms", &retention)
    // An acknowledged record must not be lost for the sake of a leader that never had it.
    .set("unclean.leader.election.enable", "false");
    let options = AdminOptions::new().operation_timeout(Some(config.answer_wait_max));
    let what = || format!("the topic {} cannot be made", config.topic);
    let answer = admin.create_topics([&topic], &options).await;
    drop_elsewhere(admin).await;
    match answer.map_err(|error| not_done(what(), error))?.into_iter().next() {
        Some(Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(()),
        Some(Err((_, code))) => Err(not_done(what(), KafkaError::AdminOp(code))),
        None => Err(PortError::unknown(format!("{}: the brokers gave no answer", what()))),
    }
}

/// Waits until all brokers that are asked know of the new topic.
async fn wait_for_topic(config: &Arc<KafkaConfig>) -> PortResult<usize> {
    let deadline = Instant::now() + config.answer_wait_max;
    loop {
        if let Some(found) = look_up(Arc::clone(config)).await? {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            let topic = &config.topic;
            return Err(PortError::unknown(format!("the topic {topic} was made, and the brokers do not show it yet")));
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// A compacted topic keeps one record of each stream.
async fn check_is_not_compacted(config: Arc<KafkaConfig>) -> PortResult<()> {
    let admin = admin(&config)?;
    let options = AdminOptions::new().request_timeout(Some(config.answer_wait_max));
    let answer = admin.describe_configs([&ResourceSpecifier::Topic(&config.topic)], &options).await;
    drop_elsewhere(admin).await;
    let resource = match answer.map(|resources| resources.into_iter().next()) {
        Ok(Some(Ok(resource))) => resource,
        Ok(None) => return Ok(()),
        // Who may not look at the configuration of a topic may still use it.
        Ok(Some(Err(code))) => {
            cannot_check(&config.topic, &KafkaError::AdminOp(code));
            return Ok(());
        }
        Err(error) => {
            cannot_check(&config.topic, &error);
            return Ok(());
        }
    };
    let policy = resource.get("cleanup.policy").and_then(|entry| entry.value.as_deref()).unwrap_or("delete");
    if policy != "delete" {
        return Err(PortError::operator(format!(
            "topic {} has cleanup.policy={policy}, which deletes events before their time: set it to delete",
            config.topic
        )));
    }
    Ok(())
}

fn cannot_check(topic: &str, error: &KafkaError) {
    tracing::warn!(topic, %error, "the configuration of the topic cannot be checked; its cleanup.policy has to be delete");
}

fn admin(config: &KafkaConfig) -> PortResult<AdminClient<PlainContext>> {
    client::admin(config).create_with_context(PlainContext::default()).map_err(error::client)
}

/// Dropping a client waits for its threads.
async fn drop_elsewhere(admin: AdminClient<PlainContext>) {
    // If it panics, the client is gone all the same.
    let _ = tokio::task::spawn_blocking(move || drop(admin)).await;
}
