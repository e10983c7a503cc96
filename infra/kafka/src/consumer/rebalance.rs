//! Assignment and revocation of partitions, on the thread of the member.

use diptych_kernel::{
    Partition,
    ports::{Assignment, LogSignal, Offset, PortResult, RevokeGuard},
};
use rdkafka::{Offset as KafkaOffset, consumer::Consumer};
use tokio::time::Instant;

use super::{
    command::ReleaseGuardOnDrop,
    partition_list::partition_list,
    rebalance_callback::{RebalanceEvent, respond},
    thread::{MemberThread, PendingRevocation},
};
use crate::error::{self, not_done};

impl MemberThread {
    /// Assigns partitions, paused. If their committed offsets cannot be read, the rebalance waits for the next attempt.
    pub(super) fn assign(&mut self, partitions: &[Partition]) -> PortResult<Option<LogSignal>> {
        let Some(consumer) = &self.consumer else { return Ok(None) };
        let config = &self.identity.config;
        let mut assignments = Vec::with_capacity(partitions.len());
        let mut list = partition_list(&config.topic, partitions);
        if !partitions.is_empty() {
            // The member would be fenced if the request took longer.
            let wait_max = config.request_timeout.min(config.poll_interval_max / 2);
            let committed = consumer.committed_offsets(partition_list(&config.topic, partitions), wait_max);
            let what = || format!("cannot read the committed offsets of {}", self.identity);
            let committed = committed.map_err(|error| not_done(what(), error))?;
            for partition in partitions {
                let number = i32::from(partition.number());
                let element = committed.find_partition(&config.topic, number);
                let offset = match element.as_ref().map(|element| (element.error(), element.offset())) {
                    Some((Ok(()), KafkaOffset::Offset(offset))) => u64::try_from(offset).unwrap_or_default(),
                    Some((Err(error), _)) => return Err(not_done(what(), error)),
                    // The group has never committed.
                    Some((Ok(()), _)) | None => 0,
                };
                let start = KafkaOffset::Offset(i64::try_from(offset).unwrap_or(i64::MAX));
                list.set_partition_offset(&config.topic, number, start).map_err(error::partition_list)?;
                assignments.push(Assignment { partition: *partition, committed: Offset(offset) });
            }
        }
        self.pending_event = None;
        let assigned = consumer.incremental_assign(&list).and_then(|()| consumer.pause(&list));
        if let Err(error) = assigned {
            tracing::warn!(member = %self.identity, %error, "cannot assign partitions; the member rejoins its group");
            self.close();
            return Ok(None);
        }
        for assignment in &assignments {
            self.positions.add(assignment.partition);
        }
        Ok((!assignments.is_empty()).then_some(LogSignal::Assigned(assignments)))
    }

    /// Begins a revocation. It is completed when the user drops the guard.
    pub(super) fn revoke(&mut self, partitions: Vec<Partition>) -> Option<LogSignal> {
        let own = self.positions.remove(&partitions);
        if own.is_empty() {
            self.respond_or_close(&RebalanceEvent::Revoked(partitions));
            return None;
        }
        self.last_guard_id += 1;
        let (guard_id, deadline) = (self.last_guard_id, Instant::now() + self.identity.config.revoke_wait_max);
        self.pending_revocation = Some(PendingRevocation { guard_id, deadline, partitions });
        let release = ReleaseGuardOnDrop { commands: self.commands.clone(), guard_id };
        Some(LogSignal::Revoked(own, RevokeGuard::new(release)))
    }

    /// Completes the pending revocation if its deadline has passed.
    pub(super) fn complete_overdue_revocation(&mut self) {
        if let Some(revocation) = self.pending_revocation.as_ref().filter(|pending| pending.deadline <= Instant::now())
        {
            tracing::warn!(
                member = %self.identity,
                waited_ms = self.identity.config.revoke_wait_max.as_millis(),
                "the member did not finish its revoked partitions in time; the rebalance goes on without it"
            );
            self.complete_revocation(revocation.guard_id);
        }
    }

    /// Completes the pending revocation, if it still waits for this guard.
    pub(super) fn complete_revocation(&mut self, guard_id: u64) {
        if let Some(revocation) = self.pending_revocation.take_if(|revocation| revocation.guard_id == guard_id) {
            self.respond_or_close(&RebalanceEvent::Revoked(revocation.partitions));
        }
    }

    /// Responds to a rebalance event. If librdkafka has another assignment than this member, the consumer is closed and
    /// the member rejoins.
    pub(super) fn respond_or_close(&mut self, event: &RebalanceEvent) {
        let Some(consumer) = &self.consumer else { return };
        if let Err(error) = respond(consumer, &self.identity.config.topic, event) {
            tracing::warn!(
                member = %self.identity,
                %error,
                ?event,
                "cannot respond to a rebalance; the member rejoins its group"
            );
            self.close();
        }
    }

    /// Returns whether the user may still commit a partition that is being revoked.
    pub(super) fn is_being_revoked(&self, partition: Partition) -> bool {
        self.pending_revocation.as_ref().is_some_and(|revocation| revocation.partitions.contains(&partition))
    }
}
