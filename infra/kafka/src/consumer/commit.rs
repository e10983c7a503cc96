//! Commits of offsets.

use std::time::Duration;

use diptych_kernel::{
    Partition,
    ports::{CommitOutcome, Offset, PortError, PortResult},
};
use rdkafka::{
    consumer::{CommitMode, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
};
use tokio::time::Instant;

use super::{partition_list::partition_list_with_offsets, thread::MemberThread};
use crate::error::not_done;

/// Wait before a commit is retried during a rebalance.
const RETRY_DELAY: Duration = Duration::from_millis(20);

impl MemberThread {
    /// Commits offsets, all or none: none if one of the partitions is not this member's, or if the group has a new
    /// generation.
    ///
    /// Ownership is checked here, because the broker accepts the offsets of any partition from any member of the
    /// current generation. If a rebalance overtakes this check, the generation has changed, and the broker refuses.
    pub(super) fn commit(&mut self, offsets: &[(Partition, Offset)]) -> PortResult<CommitOutcome> {
        let is_own = |partition| self.positions.contains(partition) || self.is_being_revoked(partition);
        let Some(consumer) = self.consumer.as_ref().filter(|_| offsets.iter().all(|(partition, _)| is_own(*partition)))
        else {
            let is_fenced = !offsets.is_empty();
            return Ok(if is_fenced { CommitOutcome::Fenced } else { CommitOutcome::Committed });
        };
        if offsets.is_empty() {
            return Ok(CommitOutcome::Committed);
        }
        let config = &self.identity.config;
        let list = partition_list_with_offsets(&config.topic, offsets)?;
        let wait_max = config.request_timeout.min(config.poll_interval_max / 2);
        let deadline = Instant::now() + wait_max;
        loop {
            // The group has removed this member, and the rebalance callback has not run yet.
            if consumer.assignment_lost() {
                return Ok(CommitOutcome::Fenced);
            }
            let Err(error) = consumer.commit(&list, CommitMode::Sync) else { return Ok(CommitOutcome::Committed) };
            match classify(&error) {
                CommitFailure::Fenced => return Ok(CommitOutcome::Fenced),
                CommitFailure::Retry if Instant::now() < deadline => std::thread::park_timeout(RETRY_DELAY),
                CommitFailure::Retry => {
                    return Err(PortError::not_done(format!(
                        "{} cannot commit: the group has been rebalancing for {wait_max:?}",
                        self.identity
                    ))
                    .caused_by(error));
                }
                CommitFailure::NotDone => return Err(not_done(format!("{} cannot commit", self.identity), error)),
                CommitFailure::Unknown => {
                    return Err(
                        PortError::unknown(format!("{} got no answer to a commit", self.identity)).caused_by(error)
                    );
                }
            }
        }
    }
}

/// Meaning of a failed commit.
#[derive(Debug, PartialEq, Eq)]
enum CommitFailure {
    /// The client is not a member of the group any more.
    Fenced,
    /// A rebalance is under way, and librdkafka will learn of it in a moment.
    Retry,
    /// Nothing was committed.
    NotDone,
    /// There was no answer.
    Unknown,
}

fn classify(error: &KafkaError) -> CommitFailure {
    use RDKafkaErrorCode as Code;
    match error.rdkafka_error_code() {
        Some(Code::UnknownMemberId | Code::FencedInstanceId | Code::AssignmentLost | Code::Fatal | Code::Fenced) => {
            CommitFailure::Fenced
        }
        // The new generation may be that of a rebalance in which this member takes part. If the member was removed
        // instead, librdkafka reports the assignment as lost.
        Some(Code::IllegalGeneration | Code::RebalanceInProgress) => CommitFailure::Retry,
        Some(
            Code::WaitingForCoordinator
            | Code::NotCoordinator
            | Code::CoordinatorNotAvailable
            | Code::CoordinatorLoadInProgress
            | Code::GroupAuthorizationFailed
            | Code::TopicAuthorizationFailed
            | Code::UnknownTopicOrPartition
            | Code::OffsetMetadataTooLarge,
        ) => CommitFailure::NotDone,
        _ => CommitFailure::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_membership_errors_fence() {
        let of = |code| classify(&KafkaError::ConsumerCommit(code));
        assert_eq!(of(RDKafkaErrorCode::UnknownMemberId), CommitFailure::Fenced);
        assert_eq!(of(RDKafkaErrorCode::IllegalGeneration), CommitFailure::Retry);
        assert_eq!(of(RDKafkaErrorCode::NotCoordinator), CommitFailure::NotDone);
        assert_eq!(of(RDKafkaErrorCode::OperationTimedOut), CommitFailure::Unknown);
        assert_eq!(of(RDKafkaErrorCode::BrokerTransportFailure), CommitFailure::Unknown);
    }
}
