//! Storing the group's offsets.

use std::time::Duration;

use diptych_kernel::{
    Partition,
    ports::{CommitOutcome, Offset, PortError, PortResult},
};
use rdkafka::{
    Offset as KafkaOffset, TopicPartitionList,
    consumer::{CommitMode, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
};
use tokio::time::Instant;

use super::thread::MemberThread;
use crate::error::{self, not_done};

/// How long to wait for the group to be done with a rebalance before offsets are sent again.
const AGAIN: Duration = Duration::from_millis(20);

impl MemberThread {
    /// Stores offsets, all or none: none where a partition among them is not this member's, or the group has another generation.
    ///
    /// The first is decided here, as the broker takes the offsets of any partition from any member of the present generation. What is
    /// decided here may be overtaken by what the group does; then the generation is another one, and the broker refuses.
    pub(super) fn commit(&mut self, offsets: &[(Partition, Offset)]) -> PortResult<CommitOutcome> {
        let is_own = |partition| self.reading.has(partition) || self.is_letting_go_of(partition);
        let Some(consumer) = self.consumer.as_ref().filter(|_| offsets.iter().all(|(partition, _)| is_own(*partition)))
        else {
            let is_fenced = !offsets.is_empty();
            return Ok(if is_fenced { CommitOutcome::Fenced } else { CommitOutcome::Committed });
        };
        if offsets.is_empty() {
            return Ok(CommitOutcome::Committed);
        }
        let config = &self.seat.config;
        let list = list_with(&config.topic, offsets)?;
        let deadline = Instant::now() + config.answer_wait_max.min(config.session / 2);
        loop {
            // The group has forgotten this member, and has not told it yet.
            if consumer.assignment_lost() {
                return Ok(CommitOutcome::Fenced);
            }
            let Err(error) = consumer.commit(&list, CommitMode::Sync) else { return Ok(CommitOutcome::Committed) };
            match verdict(&error) {
                Verdict::Fenced => return Ok(CommitOutcome::Fenced),
                Verdict::Again if Instant::now() < deadline => std::thread::park_timeout(AGAIN),
                Verdict::Again => {
                    return Err(PortError::not_done(format!(
                        "{} cannot commit: the group has been rebalancing for {:?}",
                        self.seat,
                        config.answer_wait_max.min(config.session / 2)
                    ))
                    .caused_by(error));
                }
                Verdict::NotDone => return Err(not_done(format!("{} cannot commit", self.seat), error)),
                Verdict::Unknown => {
                    return Err(PortError::unknown(format!("{} has no answer to a commit", self.seat)).caused_by(error));
                }
            }
        }
    }
}

fn list_with(topic: &str, offsets: &[(Partition, Offset)]) -> PortResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for (partition, offset) in offsets {
        let next = KafkaOffset::Offset(i64::try_from(offset.0).unwrap_or(-1));
        list.add_partition_offset(topic, i32::from(partition.number()), next).map_err(error::partition_list)?;
    }
    Ok(list)
}

/// What a failed commit means.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// The member is not one any more.
    Fenced,
    /// A rebalance is under way, of which librdkafka hears in a moment.
    Again,
    /// Nothing was stored.
    NotDone,
    /// There was no answer.
    Unknown,
}

fn verdict(error: &KafkaError) -> Verdict {
    use RDKafkaErrorCode as Code;
    match error.rdkafka_error_code() {
        Some(Code::UnknownMemberId | Code::FencedInstanceId | Code::AssignmentLost | Code::Fatal | Code::Fenced) => {
            Verdict::Fenced
        }
        // The generation may be that of a rebalance that this member takes part in. If the member is shut out instead, librdkafka says so
        // by the assignment being lost.
        Some(Code::IllegalGeneration | Code::RebalanceInProgress) => Verdict::Again,
        Some(
            Code::WaitingForCoordinator
            | Code::NotCoordinator
            | Code::CoordinatorNotAvailable
            | Code::CoordinatorLoadInProgress
            | Code::GroupAuthorizationFailed
            | Code::TopicAuthorizationFailed
            | Code::UnknownTopicOrPartition
            | Code::OffsetMetadataTooLarge,
        ) => Verdict::NotDone,
        _ => Verdict::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_that_say_so_fence() {
        let of = |code| verdict(&KafkaError::ConsumerCommit(code));
        assert_eq!(of(RDKafkaErrorCode::UnknownMemberId), Verdict::Fenced);
        assert_eq!(of(RDKafkaErrorCode::IllegalGeneration), Verdict::Again);
        assert_eq!(of(RDKafkaErrorCode::NotCoordinator), Verdict::NotDone);
        assert_eq!(of(RDKafkaErrorCode::OperationTimedOut), Verdict::Unknown);
        assert_eq!(of(RDKafkaErrorCode::BrokerTransportFailure), Verdict::Unknown);
    }
}
