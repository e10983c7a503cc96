//! librdkafka's rebalance callback.
//!
//! librdkafka calls back while it is polled, and the rebalance continues when partitions are assigned or unassigned in
//! response, at any later time. So the callback only records the event. The thread of the member responds after it has
//! signalled the event to its user, and, for a revocation, after the user has dropped the guard or
//! [`KafkaConfig::revoke_wait_max`](crate::KafkaConfig::revoke_wait_max) has passed. Until then heartbeats are sent and
//! commits are valid.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, Ordering},
};

use diptych_kernel::Partition;
use parking_lot::Mutex;
use rdkafka::{
    ClientContext, Statistics, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, KafkaResult},
    types::RDKafkaRespErr,
};

use super::partition_list::partition_list;
use crate::client_context::ClientLog;

/// A change of the member's assignment, to which librdkafka expects a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RebalanceEvent {
    /// Partitions were assigned to the member.
    Assigned(Vec<Partition>),
    /// Partitions have to be given to other members.
    Revoked(Vec<Partition>),
    /// Partitions are already lost: the group has removed the member.
    Lost(Vec<Partition>),
}

/// Context of a member's consumer: records rebalance events for its thread.
#[derive(Debug, Default)]
pub(super) struct RebalanceContext {
    client_log: ClientLog,
    events: Mutex<VecDeque<RebalanceEvent>>,
    /// The consumer is being closed: events are responded to at once, and not signalled to the user.
    is_closing: AtomicBool,
}

impl RebalanceContext {
    /// Takes the oldest event without a response.
    pub(super) fn take_event(&self) -> Option<RebalanceEvent> {
        self.events.lock().pop_front()
    }

    pub(super) fn begin_closing(&self) {
        self.is_closing.store(true, Ordering::SeqCst);
    }
}

impl ClientContext for RebalanceContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.client_log.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.client_log.error(&error, reason);
    }

    fn stats(&self, _: Statistics) {}
}

impl ConsumerContext for RebalanceContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions = partitions_in(list);
        let is_assigned = code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        let numbers: Vec<u16> = partitions.iter().map(|partition| partition.number()).collect();
        tracing::debug!(is_assigned, partitions = ?numbers, "rebalance");
        if self.is_closing.load(Ordering::SeqCst) {
            // A closed consumer does not answer to a response any more, and librdkafka would wait for the answer.
            if consumer.closed() {
                return;
            }
            let response =
                if is_assigned { consumer.incremental_assign(list) } else { consumer.incremental_unassign(list) };
            if let Err(error) = response {
                tracing::debug!(%error, "cannot respond to a rebalance while the consumer is closed");
            }
            return;
        }
        let event = match is_assigned {
            true => RebalanceEvent::Assigned(partitions),
            false if consumer.assignment_lost() => RebalanceEvent::Lost(partitions),
            false => RebalanceEvent::Revoked(partitions),
        };
        self.events.lock().push_back(event);
    }
}

fn partitions_in(list: &TopicPartitionList) -> Vec<Partition> {
    let numbers = list.elements().into_iter().map(|element| element.partition());
    numbers.filter_map(|number| u16::try_from(number).ok()).map(Partition::new).collect()
}

/// Responds to a rebalance event, so that the rebalance continues.
pub(super) fn respond(
    consumer: &BaseConsumer<RebalanceContext>,
    topic: &str,
    event: &RebalanceEvent,
) -> KafkaResult<()> {
    match event {
        RebalanceEvent::Assigned(partitions) => consumer.incremental_assign(&partition_list(topic, partitions)),
        RebalanceEvent::Revoked(partitions) | RebalanceEvent::Lost(partitions) => {
            consumer.incremental_unassign(&partition_list(topic, partitions))
        }
    }
}
