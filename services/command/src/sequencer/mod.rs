//! The sequencer: takes queued commands, decides them in memory, commits them in one append, replies.
//!
//! ```text
//!   take -> load -> decide -> commit --- committed ---> store refusals ---> take ...
//!             ^                  |                            |
//!             +---- rejected ----+       +---- a stream of a refusal has changed ----+ (decide those again)
//! ```
//!
//! After a conflict with another process the stream counts as contended. The commands of a batch that no contended
//! stream concerns are stored first. Then the others take a turn: they are loaded, decided and stored while the other
//! processes wait, each with as many commands as have arrived meanwhile.

mod batch;
mod commit;
mod confirm;
mod contended;
mod decide;
mod load;
mod states;
mod store_access;
mod trace;
mod turn;
mod working_set;

use std::{collections::HashSet, sync::Arc};

use diptych_kernel::{domain::Domain, ports::EventStore};
use diptych_runtime::Shutdown;
use tokio::{sync::mpsc, time::Instant};

use self::{
    batch::CommandBatch, commit::BatchOutcome, contended::ContendedStreams, states::StateCache,
    store_access::StoreAccess,
};
use crate::{
    CommandError, SequencerConfig,
    metrics::{CommandOutcome, Metrics},
    retry_until::{RetryError, RetryUntil},
    submission::PendingCommand,
};

/// The one task that decides commands. It owns the states on which it decides, so there are no locks.
pub(crate) struct Sequencer<D: Domain, S> {
    store: StoreAccess<S>,
    config: SequencerConfig,
    queue: mpsc::Receiver<PendingCommand<D>>,
    states: StateCache<D>,
    contended: ContendedStreams,
    shutdown: Shutdown,
    /// The end of the time for queued commands, once shutdown has begun.
    drain_until: Option<Instant>,
    metrics: Arc<Metrics>,
}

impl<D: Domain, S: EventStore> Sequencer<D, S> {
    pub(crate) fn new(
        store: Arc<S>,
        config: SequencerConfig,
        queue: mpsc::Receiver<PendingCommand<D>>,
        shutdown: Shutdown,
        metrics: Arc<Metrics>,
    ) -> Self {
        let states = StateCache::new(config.cached_states_max);
        let store = StoreAccess::new(store, config.conflict_retries_max, Arc::clone(&metrics));
        let contended = ContendedStreams::default();
        Self { store, config, queue, states, contended, shutdown, drain_until: None, metrics }
    }

    /// Runs until shutdown has begun and the queue is empty, or until the last handle is dropped.
    pub(crate) async fn run(mut self) {
        let mut taken = Vec::with_capacity(self.config.batch_commands_max);
        while self.take_queued(&mut taken).await {
            if self.drain_until.is_some_and(|until| Instant::now() >= until) {
                self.reject_all(&mut taken);
                continue;
            }
            let oldest = taken.first().map(|oldest| oldest.queued_at);
            let mut batch = CommandBatch::gather(&mut taken, &mut self.states, &self.metrics);
            let metrics = Arc::clone(&self.metrics);
            metrics.track_age(oldest, self.process(&mut batch)).await;
            batch.working_set.return_to_cache(&mut self.states);
            self.metrics.batch_finished(self.states.len());
        }
    }

    /// Waits for commands and takes all queued ones, up to the size of a batch. Returns `false` when there will be no
    /// more.
    async fn take_queued(&mut self, taken: &mut Vec<PendingCommand<D>>) -> bool {
        let batch_commands_max = self.config.batch_commands_max;
        if self.drain_until.is_none() {
            tokio::select! {
                biased;
                () = self.shutdown.begun() => {
                    self.queue.close();
                    self.drain_until = Some(Instant::now() + self.config.commit_timeout);
                }
                _ = self.queue.recv_many(taken, batch_commands_max) => {}
            }
        }
        if taken.is_empty() {
            self.queue.recv_many(taken, batch_commands_max).await;
        }
        if let Some(oldest) = taken.first() {
            self.metrics.batch_taken(taken.len(), self.queue.len(), oldest.queued_at.elapsed());
        }
        !taken.is_empty()
    }

    /// Rejects commands because the time to drain the queue is over. Nothing of them is stored.
    fn reject_all(&self, taken: &mut Vec<PendingCommand<D>>) {
        for command in taken.drain(..) {
            self.metrics.record_outcome(CommandOutcome::ShuttingDown);
            // The caller may have gone.
            let _ = command.reply.send(Err(CommandError::ShuttingDown));
        }
    }

    /// Repeats rounds until every command of the batch has its result.
    async fn process(&mut self, batch: &mut CommandBatch<D>) {
        let mut retry = self.new_retry(batch);
        while batch.has_open_commands() {
            let outcome = self.run_next_round(batch, retry).await;
            for stream_id in batch.conflicted.drain(..) {
                self.contended.add(&stream_id);
            }
            match outcome {
                Ok(BatchOutcome::Committed) => retry = self.new_retry(batch),
                Ok(BatchOutcome::Rejected) => {}
                Err(error) => batch.fail_open(error),
            }
        }
    }

    /// Runs a round of the commands that no other process is in the way of, or, if there are none, of the others in
    /// turn with other processes.
    async fn run_next_round(
        &mut self,
        batch: &mut CommandBatch<D>,
        retry: RetryUntil,
    ) -> Result<BatchOutcome, RetryError> {
        if self.contended.is_empty() {
            batch.resume_deferred(&HashSet::new());
            return self.run_round(batch, retry).await;
        }
        let streams = batch.defer_contended(&self.contended);
        if batch.has_active_commands() {
            return self.run_round(batch, retry).await;
        }
        let turn = self.store.take_turn(batch, &streams).await;
        batch.resume_deferred(&streams);
        batch.in_turn = true;
        let outcome = self.run_round(batch, retry).await;
        batch.in_turn = false;
        drop(turn);
        for (stream_id, is_changed) in batch.loaded_in_turn.drain(..) {
            if !is_changed {
                self.contended.record_quiet_turn(&stream_id);
            } else if self.contended.contains(&stream_id) {
                self.contended.add(&stream_id);
            }
        }
        outcome
    }

    async fn run_round(&self, batch: &mut CommandBatch<D>, retry: RetryUntil) -> Result<BatchOutcome, RetryError> {
        let retry = self.store.load_missing(batch, retry).await?;
        let planned = batch.decide(&self.config);
        let is_stored = !planned.units.is_empty();
        if self.store.commit(batch, planned, retry).await? == BatchOutcome::Rejected {
            return Ok(BatchOutcome::Rejected);
        }
        // Without progress the deadline stays.
        let is_replied = self.store.confirm_refusals(batch, retry).await?;
        Ok(if is_replied || is_stored { BatchOutcome::Committed } else { BatchOutcome::Rejected })
    }

    fn new_retry(&self, batch: &CommandBatch<D>) -> RetryUntil {
        RetryUntil::new(self.config.commit_timeout, batch.entries.first().map(|entry| entry.request_id))
    }
}
