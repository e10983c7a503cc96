//! The poll loop.

use std::time::Duration;

use diptych_kernel::ports::{LogRecord, LogSignal, PortResult, RevokeGuard};
use rdkafka::{consumer::Consumer, error::RDKafkaErrorCode};
use tokio::time::Instant;

use super::{
    command::PollInterruption, errors::port_error, partition_list::partition_list, positions::Fetched,
    rebalance_callback::RebalanceEvent, thread::MemberThread,
};
use crate::record::partition_and_offset;

/// Duration of one poll of librdkafka. A command that arrives during a poll waits as long.
const POLL_TIMEOUT: Duration = Duration::from_millis(20);

impl MemberThread {
    /// Polls until there is a signal or the deadline has passed. Polls at least once.
    pub(super) fn next_signal(&mut self, limit: usize, deadline: Instant) -> PortResult<LogSignal> {
        loop {
            if let Some(signal) = self.pending_signal()? {
                return Ok(signal);
            }
            let timeout = POLL_TIMEOUT.min(deadline.saturating_duration_since(Instant::now()));
            let records = self.poll_records(limit, timeout)?;
            if !records.is_empty() {
                return Ok(LogSignal::Records(records));
            }
            if let Some(signal) = self.pending_signal()? {
                return Ok(signal);
            }
            match self.command_queue.poll_interruption() {
                PollInterruption::ReleaseGuard(guard_id) => self.complete_revocation(guard_id),
                PollInterruption::Stop => return Ok(LogSignal::Idle),
                PollInterruption::None if Instant::now() >= deadline => return Ok(LogSignal::Idle),
                PollInterruption::None => {}
            }
        }
    }

    /// Returns what has to be signalled before any record: errors, and changes of the assignment.
    fn pending_signal(&mut self) -> PortResult<Option<LogSignal>> {
        if let Some(error) = self.pending_error.take() {
            return Err(error);
        }
        self.complete_overdue_revocation();
        let consumer = match &mut self.consumer {
            Some(consumer) => consumer,
            closed => {
                // The user has to know that all partitions are lost before the member rejoins.
                let lost = self.positions.remove_all();
                if !lost.is_empty() {
                    return Ok(Some(LogSignal::Revoked(lost, RevokeGuard::new(()))));
                }
                closed.insert(self.identity.subscribe()?)
            }
        };
        if self.pending_event.is_none() {
            self.pending_event = consumer.context().take_event();
        }
        match self.pending_event.clone() {
            None => Ok(None),
            Some(RebalanceEvent::Assigned(partitions)) => self.assign(&partitions),
            Some(RebalanceEvent::Revoked(partitions)) => {
                self.pending_event = None;
                Ok(self.revoke(partitions))
            }
            Some(event @ RebalanceEvent::Lost(_)) => {
                self.pending_event = None;
                self.respond_or_close(&event);
                let RebalanceEvent::Lost(partitions) = event else { return Ok(None) };
                let lost = self.positions.remove(&partitions);
                Ok((!lost.is_empty()).then(|| LogSignal::Revoked(lost, RevokeGuard::new(()))))
            }
        }
    }

    /// Takes fetched records from librdkafka, waiting up to `timeout` for the first.
    fn poll_records(&mut self, limit: usize, timeout: Duration) -> PortResult<Vec<LogRecord>> {
        let Some(consumer) = &self.consumer else { return Ok(Vec::new()) };
        let topic = &self.identity.config.topic;
        let (mut records, mut unreadable) = (Vec::new(), Vec::new());
        let (mut timeout, mut is_session_refused) = (timeout, false);
        while records.len() < limit {
            let Some(polled) = consumer.poll(timeout) else { break };
            timeout = Duration::ZERO;
            match polled {
                Ok(record) => {
                    let Some((partition, offset)) = partition_and_offset(&record) else { continue };
                    match self.positions.accept(&self.identity.config, partition, offset, &record) {
                        Fetched::Record(record) => records.push(record),
                        Fetched::Skipped => {}
                        Fetched::Unreadable(partition, error) => {
                            unreadable.push(partition);
                            self.pending_error = Some(error);
                        }
                    }
                }
                // Only the last error is returned, and the queue is read to its end: while brokers are away, every
                // connection attempt leaves an error in the queue, hundreds a minute, and a rebalance event comes after
                // the last of them.
                Err(error) => {
                    is_session_refused |= error.rdkafka_error_code() == Some(RDKafkaErrorCode::InvalidSessionTimeout);
                    if let Some(error) = port_error(&self.identity, error) {
                        self.pending_error = Some(error);
                    }
                }
            }
        }
        if let Err(error) = consumer.pause(&partition_list(topic, &unreadable)) {
            // Records of these partitions that are fetched all the same are skipped.
            let partitions: Vec<u16> = unreadable.iter().map(|partition| partition.number()).collect();
            tracing::debug!(member = %self.identity, %error, ?partitions, "cannot pause partitions");
        }
        if is_session_refused && self.identity.raise_session_timeout() {
            // It has not joined; the next poll does, with the longer timeout.
            self.pending_error = None;
            self.close();
        }
        Ok(records)
    }
}
