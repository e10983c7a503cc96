//! How the group gives and takes partitions.
//!
//! librdkafka calls back while it is polled, and the rebalance goes on when it is told that partitions were taken up or given up, at
//! whatever time. So the callback only notes what happened; the thread of the member does the rest when it has told its user, and, where
//! partitions are taken, when the user has let go of them or [`KafkaConfig::revoke_wait_max`](crate::KafkaConfig::revoke_wait_max) is
//! over. Meanwhile the heartbeats go on, and commits count.

use std::{
    collections::VecDeque,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::Sender,
    },
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

use super::inbox::Command;
use crate::context::Talk;

/// Something that the group did, which librdkafka waits to hear was followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// These are the member's now.
    Assigned(Vec<Partition>),
    /// These are to go to others.
    Revoked(Vec<Partition>),
    /// These are gone: the group has forgotten the member.
    Lost(Vec<Partition>),
}

/// Notes changes for the thread of the member.
#[derive(Debug, Default)]
pub(super) struct MemberContext {
    talk: Talk,
    changes: Mutex<VecDeque<Change>>,
    /// The consumer is being closed: changes are followed at once, and nobody is told.
    is_closing: AtomicBool,
}

impl MemberContext {
    /// The oldest change that was not followed yet.
    pub(super) fn take_change(&self) -> Option<Change> {
        self.changes.lock().pop_front()
    }

    pub(super) fn close(&self) {
        self.is_closing.store(true, Ordering::SeqCst);
    }
}

impl ClientContext for MemberContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.talk.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.talk.error(&error, reason);
    }

    fn stats(&self, _: Statistics) {}
}

impl ConsumerContext for MemberContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions = partitions_in(list);
        let is_assigned = code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        tracing::debug!(is_assigned, ?partitions, "the group changes");
        if self.is_closing.load(Ordering::SeqCst) {
            // Nobody is there any more to hear that this old change was followed, and librdkafka would wait for that.
            if consumer.closed() {
                return;
            }
            let followed =
                if is_assigned { consumer.incremental_assign(list) } else { consumer.incremental_unassign(list) };
            if let Err(error) = followed {
                tracing::debug!(%error, "a change of the group during the end of a member");
            }
            return;
        }
        let change = match is_assigned {
            true => Change::Assigned(partitions),
            false if consumer.assignment_lost() => Change::Lost(partitions),
            false => Change::Revoked(partitions),
        };
        self.changes.lock().push_back(change);
    }
}

fn partitions_in(list: &TopicPartitionList) -> Vec<Partition> {
    let numbers = list.elements().into_iter().map(|element| element.partition());
    numbers.filter_map(|number| u16::try_from(number).ok()).map(Partition::new).collect()
}

/// Partitions of the topic as librdkafka wants them.
pub(super) fn list_of(topic: &str, partitions: &[Partition]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition(topic, i32::from(partition.number()));
    }
    list
}

/// Tells librdkafka that a change was followed, whichever it was.
pub(super) fn follow(consumer: &BaseConsumer<MemberContext>, topic: &str, change: &Change) -> KafkaResult<()> {
    match change {
        Change::Assigned(partitions) => consumer.incremental_assign(&list_of(topic, partitions)),
        Change::Revoked(partitions) | Change::Lost(partitions) => {
            consumer.incremental_unassign(&list_of(topic, partitions))
        }
    }
}

/// Tells the thread that a guard was dropped.
#[derive(Debug)]
pub(super) struct LetGo {
    pub(super) commands: Sender<Command>,
    pub(super) guard: u64,
}

impl Drop for LetGo {
    fn drop(&mut self) {
        // Where the thread has ended, there is nothing to let go of.
        let _ = self.commands.send(Command::LetGo(self.guard));
    }
}
