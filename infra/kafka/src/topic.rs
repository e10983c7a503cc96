//! The topic: created once, looked up and checked at every start.

use std::{sync::Arc, time::Duration};

use diptych_kernel::{
    Partitions,
    ports::{PortError, PortResult},
};
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
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
    topic_safety::{TopicLayout, check_is_safe},
};

/// Poll interval while a new topic becomes visible.
const TOPIC_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Creates the topic of the events if it is missing, with the given number of partitions and the replication and
/// retention of the configuration, and returns when it can be used. Safe to call repeatedly and concurrently.
///
/// # Errors
/// When the brokers cannot be reached or refuse, and when an existing topic does not fit this installation: it has
/// another number of partitions, is compacted, which would delete events, or is unsafe (see
/// [`KafkaConfig::allow_unsafe_topic`]). An existing topic is never changed.
pub async fn ensure_topic(config: &KafkaConfig, partitions: Partitions) -> PortResult<()> {
    config.check()?;
    let config = Arc::new(config.clone());
    let layout = match look_up(Arc::clone(&config)).await? {
        Some(layout) => layout,
        None => {
            create(Arc::clone(&config), partitions).await?;
            wait_for_topic(&config).await?
        }
    };
    if layout.partitions != usize::from(partitions.count()) {
        return Err(partition_count_mismatch(&config.topic, layout.partitions, partitions));
    }
    check(&config, &layout).await
}

/// Checks that the topic is safe, and returns its partitions.
pub(crate) async fn open(config: &Arc<KafkaConfig>) -> PortResult<Partitions> {
    let topic = &config.topic;
    let Some(layout) = look_up(Arc::clone(config)).await? else {
        return Err(PortError::operator(format!(
            "topic {topic} does not exist: run `diptych migrate`, which creates it"
        )));
    };
    let count = layout.partitions;
    let partitions = u16::try_from(count).ok().and_then(|count| Partitions::new(count).ok()).ok_or_else(|| {
        let max = Partitions::MAX;
        PortError::operator(format!("topic {topic} has {count} partitions; Diptych supports 1 to {max}"))
    })?;
    check(config, &layout).await?;
    Ok(partitions)
}

async fn check(config: &Arc<KafkaConfig>, layout: &TopicLayout) -> PortResult<()> {
    let admin = admin(config)?;
    let checked = check_is_safe(config, &admin, layout).await;
    drop_off_thread(admin).await;
    checked
}

fn partition_count_mismatch(topic: &str, count: usize, partitions: Partitions) -> PortError {
    let expected = partitions.count();
    PortError::operator(format!(
        "topic {topic} has {count} partitions, and this installation has {expected}, as it was created with. Set \
         another kafka.topic, or delete this topic if nothing needs it any more, and run `diptych migrate` again; the \
         number of partitions cannot be changed later, because streams would move to other partitions"
    ))
}

async fn look_up(config: Arc<KafkaConfig>) -> PortResult<Option<TopicLayout>> {
    run_blocking("look up the topic", move || look_up_blocking(&config)).await
}

/// Returns `None` if the topic does not exist, or is still being created.
fn look_up_blocking(config: &KafkaConfig) -> PortResult<Option<TopicLayout>> {
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
    let copies = topic.partitions().iter().map(|partition| (partition.id(), partition.replicas().len()));
    let replicas_min = copies.min_by_key(|(partition, copies)| (*copies, *partition));
    Ok(Some(TopicLayout { partitions: topic.partitions().len(), replicas_min }))
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
async fn wait_for_topic(config: &Arc<KafkaConfig>) -> PortResult<TopicLayout> {
    let deadline = Instant::now() + config.request_timeout;
    loop {
        if let Some(layout) = look_up(Arc::clone(config)).await? {
            return Ok(layout);
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

fn admin(config: &KafkaConfig) -> PortResult<AdminClient<PlainContext>> {
    client_config::admin(config).create_with_context(PlainContext::default()).map_err(error::client_creation)
}

/// Drops a client on a blocking thread, because that waits for the client's own threads.
async fn drop_off_thread(admin: AdminClient<PlainContext>) {
    // If the drop panics, the client is gone all the same.
    let _ = tokio::task::spawn_blocking(move || drop(admin)).await;
}
