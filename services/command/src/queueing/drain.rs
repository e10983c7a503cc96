//! Drain: executes the commands of the queue, in order, once the write database answers again. One process at a time
//! does, by a lease; two would do no harm, as each command takes effect once.

use std::{sync::Arc, time::Duration};

use diptych_kernel::{
    domain::Domain,
    ports::{CommandQueue, CommandQueueState, Fence, Offset, PortResult, QueueLease, QueueRecord},
};
use diptych_runtime::{Backoff, LogLimiter, Shutdown, pause};
use futures::future::join_all;
use metrics::{Counter, Unit, counter, describe_counter};
use tokio::time::{Instant, sleep_until};
use tracing::{error, info, warn};

use super::Queueing;
use crate::{
    CommandError, CommandFuture, CommandHandle, Submission,
    submission::{CommandResult, ExecutionOrder, QueuedExecution},
};

const DRAINED: &str = "diptych_command_drained_total";

/// Largest number of commands that are executed together.
const COMMANDS_PER_BATCH_MAX: usize = 512;
/// Longest wait for a record that the index has and a read does not return at once.
const READ_WAIT_MAX: Duration = Duration::from_millis(100);
/// Delays before a failed step is repeated, and between requests for a lease that another process holds.
const DELAY_MIN: Duration = Duration::from_millis(50);
const DELAY_MAX: Duration = Duration::from_secs(1);

pub(super) fn describe_metrics() {
    describe_counter!(DRAINED, Unit::Count, "Queued commands that were executed, by outcome");
}

/// The task that executes queued commands.
pub(super) struct Drain<D: Domain, S, Q> {
    queueing: Arc<Queueing<D>>,
    store: Arc<S>,
    queue: Arc<Q>,
    handle: CommandHandle<D>,
    shutdown: Shutdown,
    log: LogLimiter,
}

/// Why a batch was not executed to its end.
enum Interrupted {
    /// Another process has the lease.
    Fenced,
    /// A call failed, or a command has no outcome yet.
    Failed,
    /// This process stops.
    Stopping,
}

impl<D: Domain, S: CommandQueueState, Q: CommandQueue> Drain<D, S, Q> {
    pub(super) fn new(
        queueing: Arc<Queueing<D>>,
        store: Arc<S>,
        queue: Arc<Q>,
        handle: CommandHandle<D>,
        shutdown: Shutdown,
    ) -> Self {
        Self { queueing, store, queue, handle, shutdown, log: LogLimiter::default() }
    }

    /// Runs until shutdown begins.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::new(DELAY_MIN, DELAY_MAX);
        loop {
            let shutdown = self.shutdown.clone();
            let needed = async {
                tokio::select! {
                    () = self.queueing.index.until_not_empty() => {}
                    () = self.queueing.breaker.opened() => {}
                }
            };
            tokio::select! {
                () = shutdown.begun() => return,
                () = needed => {}
            }
            // While the write database is down, this is the call that notices its return: it commits, so it succeeds
            // when commands do.
            match self.acquire().await {
                Ok(QueueLease { fence: Some(fence), done_before }) => match self.drain(fence, done_before).await {
                    Ok(()) => backoff.reset(),
                    Err(Interrupted::Stopping) => {
                        self.release(fence).await;
                        return;
                    }
                    Err(Interrupted::Fenced | Interrupted::Failed) => self.pause(&mut backoff).await,
                },
                Ok(QueueLease { fence: None, done_before }) => {
                    self.queueing.index.done(done_before);
                    self.pause(&mut backoff).await;
                }
                Err(error) => {
                    if self.log.allow().is_some() {
                        warn!(%error, "queued commands wait: the lease of the queue cannot be had, retrying");
                    }
                    self.pause(&mut backoff).await;
                }
            }
        }
    }

    async fn acquire(&self) -> PortResult<QueueLease> {
        let config = &self.queueing.config;
        let acquired = self.store.acquire_queue_lease(&config.instance, config.lease_duration);
        self.queueing.breaker.observe(acquired).await
    }

    /// Lets the next process begin at once.
    async fn release(&self, fence: Fence) {
        if let Err(error) = self.store.release_queue_lease(fence).await {
            warn!(%error, "the lease of the queue could not be released, it expires by itself");
        }
    }

    async fn pause(&self, backoff: &mut Backoff) {
        tokio::select! {
            () = self.shutdown.begun() => {}
            () = pause(backoff.next_delay()) => {}
        }
    }

    /// Executes commands until none is left without an outcome.
    async fn drain(&self, fence: Fence, done_before: Offset) -> Result<(), Interrupted> {
        let ends = self.queue.ends().await.map_err(|error| {
            warn!(%error, "queued commands wait: the ends of the queue cannot be read, retrying");
            Interrupted::Failed
        })?;
        let (mut next, mut executed) = (self.queueing.undone_from(done_before, ends), 0);
        self.queueing.index.done(next);
        while !self.queueing.index.is_empty() {
            let began_at = Instant::now();
            let records = self.queue.read(next, COMMANDS_PER_BATCH_MAX, READ_WAIT_MAX).await.map_err(|error| {
                warn!(%error, offset = next.0, "queued commands wait: the queue cannot be read, retrying");
                Interrupted::Failed
            })?;
            let Some(last) = records.last() else { return self.pass_over_deleted(fence, next).await };
            let (end, count) = (Offset(last.offset.0 + 1), records.len());
            let (done_before, executed_now) = self.execute(records, end).await?;
            self.move_cursor(fence, done_before).await?;
            executed += executed_now;
            next = done_before;
            if done_before < end {
                return Err(Interrupted::Failed);
            }
            self.keep_rate(began_at, count).await?;
        }
        info!(commands = executed, "queued commands have been executed");
        Ok(())
    }

    /// Executes a batch. Returns the offset up to which commands have an outcome, and the number of these.
    async fn execute(&self, records: Vec<QueueRecord>, end: Offset) -> Result<(Offset, usize), Interrupted> {
        let order = Arc::new(ExecutionOrder::default());
        let mut offsets = Vec::with_capacity(records.len());
        let mut running: Vec<CommandFuture<D>> = Vec::with_capacity(records.len());
        for record in records {
            let (offset, request_id) = (record.offset, record.command.request_id);
            let Some((submission, execution)) = self.submission(record, &order) else { continue };
            match self.handle.submit_queued(submission, execution).await {
                Ok(future) => {
                    offsets.push((offset, request_id));
                    running.push(future);
                }
                Err(CommandError::ShuttingDown) => return Err(Interrupted::Stopping),
                Err(error) => error!(%request_id, offset = offset.0, ?error, "a queued command cannot be executed"),
            }
        }
        let results = join_all(running).await;
        let undone = results.iter().position(|result| !has_outcome::<D>(result));
        for ((offset, request_id), result) in offsets.iter().zip(&results).take(undone.unwrap_or(usize::MAX)) {
            let label = outcome_label::<D>(result);
            drained(label).increment(1);
            if label == "failed" {
                error!(%request_id, offset = offset.0, ?result, "a queued command failed, and is not executed again");
            }
        }
        let first_undone = undone.and_then(|index| offsets.get(index)).map(|(offset, _)| *offset);
        Ok((first_undone.unwrap_or(end), undone.unwrap_or(results.len())))
    }

    /// What the sequencer takes; `None` for a command that cannot be read.
    fn submission(&self, record: QueueRecord, order: &Arc<ExecutionOrder>) -> Option<(Submission<D>, QueuedExecution)> {
        let QueueRecord { offset, command } = record;
        let decoded = match D::decode_command(&command.command_type, &command.payload) {
            Ok(decoded) => decoded,
            Err(error) => {
                let request_id = command.request_id;
                drained("failed").increment(1);
                error!(%request_id, offset = offset.0, %error, "a queued command cannot be read, it is passed over");
                return None;
            }
        };
        let submission = Submission {
            request_id: command.request_id,
            fingerprint: command.fingerprint,
            expected_version: command.expected_version,
            command: decoded,
            metadata: command.metadata,
        };
        let is_expired = command.expires_at < self.queueing.clock.now();
        Some((submission, QueuedExecution { order: Arc::clone(order), is_expired }))
    }

    async fn move_cursor(&self, fence: Fence, done_before: Offset) -> Result<(), Interrupted> {
        let moved = self.store.move_queue_cursor(fence, done_before, self.queueing.config.lease_duration);
        match self.queueing.breaker.observe(moved).await {
            Ok(true) => {
                self.queueing.index.done(done_before);
                Ok(())
            }
            Ok(false) => Err(Interrupted::Fenced),
            Err(error) => {
                warn!(%error, "queued commands were executed, and it cannot be stored up to which, retrying");
                Err(Interrupted::Failed)
            }
        }
    }

    /// Passes over commands that this process knows and the queue does not hold any more.
    async fn pass_over_deleted(&self, fence: Fence, next: Offset) -> Result<(), Interrupted> {
        let ends = self.queue.ends().await.map_err(|error| {
            warn!(%error, offset = next.0, "queued commands wait: the ends of the queue cannot be read, retrying");
            Interrupted::Failed
        })?;
        if ends.first < ends.next {
            return Err(Interrupted::Failed);
        }
        let (from, to) = (next.0, ends.next.0);
        error!(
            from,
            to, "queued commands were deleted from the queue before they were executed: its retention is short"
        );
        self.move_cursor(fence, ends.next).await
    }

    /// Waits so that no more commands are executed per second than configured.
    async fn keep_rate(&self, began_at: Instant, commands: usize) -> Result<(), Interrupted> {
        let per_second = self.queueing.config.drain_commands_per_second_max.max(1);
        let commands = u32::try_from(commands).unwrap_or(u32::MAX);
        let until = began_at + Duration::from_secs(1) * commands / per_second;
        tokio::select! {
            () = self.shutdown.begun() => Err(Interrupted::Stopping),
            () = sleep_until(until) => Ok(()),
        }
    }
}

/// Returns whether a command needs no further attempt.
fn has_outcome<D: Domain>(result: &CommandResult<D>) -> bool {
    !matches!(
        result,
        Err(CommandError::Unavailable
            | CommandError::OutcomeUnknown
            | CommandError::Suspended
            | CommandError::Contention { .. }
            | CommandError::Overloaded
            | CommandError::ShuttingDown)
    )
}

fn outcome_label<D: Domain>(result: &CommandResult<D>) -> &'static str {
    match result {
        Ok(_) => "committed",
        Err(CommandError::RefusedBefore(error)) if matches!(**error, CommandError::Expired) => "expired",
        Err(CommandError::Expired) => "expired",
        Err(CommandError::Refused(_) | CommandError::RefusedBefore(_) | CommandError::VersionMismatch { .. }) => {
            "refused"
        }
        Err(_) => "failed",
    }
}

fn drained(outcome: &'static str) -> Counter {
    counter!(DRAINED, "outcome" => outcome)
}
