//! The sequencer: takes queued commands, decides them in memory, commits them in one append, replies.
//!
//! ```text
//!   take -> load -> decide -> commit --- committed ---> store refusals ---> take ...
//!             ^                  |                            |
//!             +---- rejected ----+       +---- a stream of a refusal has changed ----+ (decide those again)
//! ```
//!
//! After a conflict with another process the stream counts as contended. Commands on it are handed over to a second
//! sequencer, the [`ContendedLane`], which decides them in turn with the other processes. The others go on meanwhile.

mod batch;
mod commit;
mod confirm;
mod contended;
mod contended_lane;
mod decide;
mod load;
mod states;
mod store_access;
mod trace;
mod turn;
mod working_set;

use std::{
    collections::{BTreeSet, HashSet},
    mem,
    sync::{Arc, OnceLock},
};

use diptych_kernel::{StreamId, domain::Domain, ports::EventStore};
use diptych_runtime::Shutdown;
use parking_lot::Mutex;
use tokio::{sync::mpsc, time::Instant};

use self::{
    batch::CommandBatch, commit::BatchOutcome, contended::ContendedStreams, contended_lane::ContendedQueue,
    store_access::StoreAccess,
};
pub(crate) use self::{contended_lane::ContendedLane, states::StateCache};
use crate::{
    CommandError, SequencerConfig,
    breaker::Breaker,
    metrics::{CommandOutcome, Metrics},
    queueing::QueueIndex,
    retry_until::{RetryError, RetryUntil},
    submission::PendingCommand,
};

/// The states that the sequencer holds between batches. Others only look: to tell the expected outcome of a command
/// that is queued.
pub(crate) type SharedStates<D> = Arc<Mutex<StateCache<D>>>;

/// The task that decides commands. It takes the states on which it decides out of the cache, so it waits for no lock
/// while it does.
pub(crate) struct Sequencer<D: Domain, S> {
    store: StoreAccess<S>,
    config: SequencerConfig,
    queue: mpsc::Receiver<PendingCommand<D>>,
    states: SharedStates<D>,
    contended: Arc<ContendedStreams>,
    contended_queue: ContendedQueue<D>,
    shutdown: Shutdown,
    /// The end of the time for queued commands, once shutdown has begun.
    drain_until: Arc<OnceLock<Instant>>,
    metrics: Arc<Metrics>,
}

/// Creates the sequencer of a process, and that of contended streams.
pub(crate) fn new<D: Domain, S: EventStore>(
    store: Arc<S>,
    config: SequencerConfig,
    queue: mpsc::Receiver<PendingCommand<D>>,
    shutdown: &Shutdown,
    metrics: &Arc<Metrics>,
    (states, breaker, queue_index): (SharedStates<D>, Arc<Breaker>, Arc<QueueIndex>),
) -> (Sequencer<D, S>, ContendedLane<D, S>) {
    let store = StoreAccess::new(store, config.conflict_retries_max, Arc::clone(metrics), (breaker, queue_index));
    let contended = Arc::new(ContendedStreams::default());
    let contended_metrics = Arc::new(Metrics::new("contended"));
    let (commands, contended_commands) = mpsc::channel(config.queue_commands_max.max(config.batch_commands_max));
    let drain_until = Arc::new(OnceLock::new());
    let lane = ContendedLane {
        store: StoreAccess { metrics: Arc::clone(&contended_metrics), ..store.clone() },
        config: config.clone(),
        queue: contended_commands,
        states: StateCache::new(config.cached_states_max),
        contended: Arc::clone(&contended),
        turn: None,
        partitions: BTreeSet::new(),
        shutdown: shutdown.clone(),
        without_turns_until: None,
        drain_until: Arc::clone(&drain_until),
        metrics: Arc::clone(&contended_metrics),
    };
    let sequencer = Sequencer {
        store,
        queue,
        states,
        config,
        contended_queue: ContendedQueue { commands, contended: Arc::clone(&contended), metrics: Arc::clone(metrics) },
        contended,
        shutdown: shutdown.clone(),
        drain_until,
        metrics: Arc::clone(metrics),
    };
    (sequencer, lane)
}

impl<D: Domain, S: EventStore> Sequencer<D, S> {
    /// Runs until shutdown has begun and the queue is empty, or until the last handle is dropped.
    pub(crate) async fn run(mut self) {
        let mut taken = Vec::with_capacity(self.config.batch_commands_max);
        while self.take_queued(&mut taken).await {
            if self.drain_until.get().is_some_and(|until| Instant::now() >= *until) {
                taken.drain(..).for_each(|command| reject(command, &self.metrics));
                continue;
            }
            let mut claimed = self.contended.claim_all(&mut taken);
            // Commands before them on the same streams come first.
            if !share_a_stream(&claimed, &taken) {
                self.contended_queue.hand_over(&mut claimed, &mut self.states.lock());
            }
            if !taken.is_empty() {
                self.run_batch(&mut taken, &mut claimed).await;
            }
            self.contended_queue.hand_over(&mut claimed, &mut self.states.lock());
            self.metrics.batch_finished(self.states.lock().len());
        }
    }

    /// Decides and stores commands. Adds those that turn out to be on contended streams to the claimed ones.
    async fn run_batch(&mut self, taken: &mut Vec<PendingCommand<D>>, claimed: &mut Vec<PendingCommand<D>>) {
        let oldest = taken.first().map(|oldest| oldest.queued_at);
        let mut batch = CommandBatch::gather(taken, &mut self.states.lock(), &self.metrics);
        let hand_over = |batch: &mut CommandBatch<D>| batch.take_contended(&self.contended, claimed);
        let rounds = self.store.run_rounds(&mut batch, &self.config, &self.contended, hand_over);
        self.metrics.track_age(oldest, rounds).await;
        batch.working_set.return_to_cache(&mut self.states.lock());
    }

    /// Waits for commands and takes all queued ones, up to the size of a batch. Returns `false` when there will be no
    /// more.
    async fn take_queued(&mut self, taken: &mut Vec<PendingCommand<D>>) -> bool {
        let batch_commands_max = self.config.batch_commands_max;
        self.contended_queue.room_for(batch_commands_max).await;
        if self.drain_until.get().is_none() {
            tokio::select! {
                biased;
                () = self.shutdown.begun() => {
                    self.queue.close();
                    self.drain_until.get_or_init(|| Instant::now() + self.config.commit_timeout);
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
}

impl<S: EventStore> StoreAccess<S> {
    /// Repeats rounds until no command of the batch is open. The streams of a conflict are contended from then on;
    /// `after_conflict` may take commands on them out of the batch.
    async fn run_rounds<D: Domain>(
        &self,
        batch: &mut CommandBatch<D>,
        config: &SequencerConfig,
        contended: &ContendedStreams,
        mut after_conflict: impl FnMut(&mut CommandBatch<D>),
    ) {
        let mut retry = self.new_retry(batch, config);
        while batch.has_open_commands() {
            let outcome = self.run_round(batch, config, retry).await;
            let conflicted = mem::take(&mut batch.conflicted);
            for stream_id in &conflicted {
                contended.add(stream_id);
            }
            if !conflicted.is_empty() {
                after_conflict(batch);
            }
            match outcome {
                Ok(BatchOutcome::Committed) => retry = self.new_retry(batch, config),
                Ok(BatchOutcome::Rejected) => {}
                Err(error) => batch.fail_open(error),
            }
        }
    }

    /// Loads, decides and stores the open commands of a batch once.
    async fn run_round<D: Domain>(
        &self,
        batch: &mut CommandBatch<D>,
        config: &SequencerConfig,
        retry: RetryUntil,
    ) -> Result<BatchOutcome, RetryError> {
        let retry = self.load_missing(batch, retry).await?;
        let planned = batch.decide(config, &self.queue_index);
        let is_stored = !planned.units.is_empty();
        if self.commit(batch, planned, retry).await? == BatchOutcome::Rejected {
            return Ok(BatchOutcome::Rejected);
        }
        // Without progress the deadline stays.
        let is_replied = self.confirm_refusals(batch, retry).await?;
        Ok(if is_replied || is_stored { BatchOutcome::Committed } else { BatchOutcome::Rejected })
    }

    fn new_retry<D: Domain>(&self, batch: &CommandBatch<D>, config: &SequencerConfig) -> RetryUntil {
        RetryUntil::new(config.commit_timeout, batch.entries.first().map(|entry| entry.request_id))
    }
}

/// Rejects a command because the process is stopping. Nothing of it is stored.
fn reject<D: Domain>(command: PendingCommand<D>, metrics: &Metrics) {
    for caller in command.callers {
        metrics.record_outcome(CommandOutcome::ShuttingDown);
        // The caller may have gone.
        let _ = caller.reply.send(Err(CommandError::ShuttingDown));
    }
}

/// Returns whether commands of two groups name the same stream.
fn share_a_stream<D: Domain>(some: &[PendingCommand<D>], others: &[PendingCommand<D>]) -> bool {
    let streams: HashSet<&StreamId> = some.iter().flat_map(|command| &command.streams).collect();
    !streams.is_empty() && others.iter().flat_map(|command| &command.streams).any(|stream| streams.contains(stream))
}
