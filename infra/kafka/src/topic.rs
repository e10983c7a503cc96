//! The topic: created once, looked up at every start.

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
    client_config,
    client_context::PlainContext,
    config::KafkaConfig,
    error::{self, not_done},
};

/// Poll interval while a new topic becomes visible.
const TOPIC_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Creates the topic of the events if it is missing, with the given number of partitions and the replication and
/// retention of the configuration, and returns when it can be used. Safe to call repeatedly and concurrently.
///
/// # Errors
/// When the brokers cannot be reached or refuse, and when an existing topic does not fit this installation: it has
/// another number of partitions, or is compacted, which would delete events. An existing topic is never changed.
pub async fn ensure_topic(config: &KafkaConfig, partitions: Partitions) -> PortResult<()> {
    config.check()?;
    let config = Arc::new(config.clone());
    let count = match look_up(Arc::clone(&config)).await? {
        Some(count) => count,
        None => {
            create(Arc::clone(&config), partitions).await?;
            wait_for_topic(&config).await?
        }
    };
    if count != usize::from(partitions.count()) {
        return Err(partition_count_mismatch(&config.topic, count, partitions));
    }
    check_is_not_compacted(config).await
}

/// Looks up the partitions of the topic.
pub(crate) async fn partitions_of(config: &Arc<KafkaConfig>) -> PortResult<Partitions> {
    let topic = &config.topic;
    let Some(count) = look_up(Arc::clone(config)).await? else {
        return Err(PortError::operator(format!(
            "topic {topic} does not exist: run `diptych migrate`, which creates it"
        )));
    };
    let partitions = u16::try_from(count).ok().and_then(|count| Partitions::new(count).ok());
    partitions.ok_or_else(|| {
        let max = Partitions::MAX;
        PortError::operator(format!("topic {topic} has {count} partitions; Diptych supports 1 to {max}"))
    })
}

fn partition_count_mismatch(topic: &str, count: usize, partitions: Partitions) -> PortError {
    let expected = partitions.count();
    PortError::operator(format!(
        "topic {topic} has {count} partitions, and this installation has {expected}, as it was created with. Set \
         another kafka.topic, or delete this topic if nothing needs it any more, and run `diptych migrate` again; the \
         number of partitions cannot be changed later, because streams would move to other partitions"
    ))
}

async fn look_up(config: Arc<KafkaConfig>) -> PortResult<Option<usize>> {
    run_blocking("look up the topic", move || look_up_blocking(&config)).await
}

/// Returns the number of partitions; `None` if the topic does not exist, or is still being created.
fn look_up_blocking(config: &KafkaConfig) -> PortResult<Option<usize>> {
    let what = || {
        let KafkaConfig { topic, bootstrap_servers, .. } = config;
        format!("cannot look up topic {topic} at {bootstrap_servers} (kafka.bootstrap_servers)")
    };
    let consumer: BaseConsumer<PlainContext> =
        client_config::admin(config).create_with_context(PlainContext::default()).map_err(error::client_creation)?;
    let metadata = match consumer.fetch_metadata(Some(&config.topic), config.request_timeout) {
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
    let (min_insync, retention) = (config.min_insync_replicas.to_string(), client_config::millis(config.retention));
    let topic = NewTopic::new(
        &config.topic,
        i32::from(partitions.count()),
        TopicReplication::Fixed(i32::from(config.replication_factor)),
    )
    .set("cleanup.policy", "delete")
    .set("min.insync.replicas", &min_insync)
    .set("retention.ms", &retention)
    // A replica that lacks acknowledged records must not become the leader.
    .set("unclean.leader.election.enable", "false");
    let options = AdminOptions::new().operation_timeout(Some(config.request_timeout));
    let what = || {
        let KafkaConfig { topic, bootstrap_servers, .. } = &*config;
        format!("cannot create topic {topic} at {bootstrap_servers} (kafka.bootstrap_servers)")
    };
    let results = admin.create_topics([&topic], &options).await;
    drop_off_thread(admin).await;
    match results.map_err(|error| not_done(what(), error))?.into_iter().next() {
        Some(Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(()),
        Some(Err((_, code))) => Err(not_done(what(), KafkaError::AdminOp(code))),
        None => Err(PortError::unknown(format!("{}: the brokers did not answer", what()))),
    }
}

/// Waits until the brokers return the new topic.
async fn wait_for_topic(config: &Arc<KafkaConfig>) -> PortResult<usize> {
    let deadline = Instant::now() + config.request_timeout;
    loop {
        if let Some(count) = look_up(Arc::clone(config)).await? {
            return Ok(count);
        }
        if Instant::now() >= deadline {
            let KafkaConfig { topic, request_timeout, .. } = &**config;
            return Err(PortError::unknown(format!(
                "topic {topic} was created, but the brokers did not return it within {request_timeout:?}; run the \
                 command again"
            )));
        }
        sleep(TOPIC_POLL_INTERVAL).await;
    }
}

/// Rejects a compacted topic: it would keep only one record of each stream.
async fn check_is_not_compacted(config: Arc<KafkaConfig>) -> PortResult<()> {
    let admin = admin(&config)?;
    let options = AdminOptions::new().request_timeout(Some(config.request_timeout));
    let results = admin.describe_configs([&ResourceSpecifier::Topic(&config.topic)], &options).await;
    drop_off_thread(admin).await;
    let resource = match results.map(|resources| resources.into_iter().next()) {
        Ok(Some(Ok(resource))) => resource,
        Ok(None) => return Ok(()),
        // A user without permission to describe the configuration may still use the topic.
        Ok(Some(Err(code))) => {
            warn_unchecked(&config.topic, &KafkaError::AdminOp(code));
            return Ok(());
        }
        Err(error) => {
            warn_unchecked(&config.topic, &error);
            return Ok(());
        }
    };
    let policy = resource.get("cleanup.policy").and_then(|entry| entry.value.as_deref()).unwrap_or("delete");
    if policy != "delete" {
        return Err(PortError::operator(format!(
            "topic {} has cleanup.policy={policy}, which deletes events too early: set it to delete",
            config.topic
        )));
    }
    Ok(())
}

fn warn_unchecked(topic: &str, error: &KafkaError) {
    tracing::warn!(
        topic,
        %error,
        "cannot read the configuration of the topic; make sure that its cleanup.policy is delete"
    );
}

fn admin(config: &KafkaConfig) -> PortResult<AdminClient<PlainContext>> {
    client_config::admin(config).create_with_context(PlainContext::default()).map_err(error::client_creation)
}

/// Drops a client on a blocking thread, because that waits for the client's own threads.
async fn drop_off_thread(admin: AdminClient<PlainContext>) {
    // If the drop panics, the client is gone all the same.
    let _ = tokio::task::spawn_blocking(move || drop(admin)).await;
}
