//! The sequencer: takes what waits, decides it in memory, commits it in one append, tells the outcomes.
//!
//! ```text
//!   take -> load -> decide -> commit ---- stored ----> confirm refusals -> take ...
//!             ^                  |                            |
//!             +---- rejected ----+         +---- a stream of a refusal has moved ----+ (decide those again)
//! ```

mod batch;
mod commit;
mod confirm;
mod decide;
mod load;
mod states;
mod trace;
mod working_set;

use std::sync::Arc;

use diptych_kernel::{StreamId, domain::Domain, ports::EventStore};
use diptych_runtime::Shutdown;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use self::{batch::Batch, commit::Landing, states::StateCache};
use crate::{
    CommandError, SequencerConfig, Submission,
    handle::Answer,
    metrics::{Ending, Metrics},
    patience::{GaveUp, Patience},
};

/// A command in the queue.
pub(crate) struct Waiting<D: Domain> {
    pub(crate) submission: Submission<D>,
    /// The streams that it touches, at least one, each once.
    pub(crate) streams: Vec<StreamId>,
    pub(crate) reply: oneshot::Sender<Answer<D>>,
    pub(crate) queued_at: Instant,
}

/// The one task that decides. It owns the states that it decides on, so nothing is locked.
pub(crate) struct Sequencer<D: Domain, S> {
    store: Arc<S>,
    config: SequencerConfig,
    queue: mpsc::Receiver<Waiting<D>>,
    states: StateCache<D>,
    shutdown: Shutdown,
    /// From the beginning of shutdown: until when what is queued is still taken up.
    drain_until: Option<Instant>,
    metrics: Arc<Metrics>,
}

impl<D: Domain, S: EventStore> Sequencer<D, S> {
    pub(crate) fn new(
        store: Arc<S>,
        config: SequencerConfig,
        queue: mpsc::Receiver<Waiting<D>>,
        shutdown: Shutdown,
        metrics: Arc<Metrics>,
    ) -> Self {
        let states = StateCache::new(config.cached_states_max);
        Self { store, config, queue, states, shutdown, drain_until: None, metrics }
    }

    /// Runs until shutdown has begun and the queue is empty, or until nobody can submit any more.
    pub(crate) async fn run(mut self) {
        let mut taken = Vec::with_capacity(self.config.batch_commands_max);
        while self.take_waiting(&mut taken).await {
            if self.drain_until.is_some_and(|until| Instant::now() >= until) {
                self.turn_away(&mut taken);
                continue;
            }
            let oldest = taken.first().map(|oldest| oldest.queued_at);
            let mut batch = Batch::gather(&mut taken, &mut self.states, &self.metrics);
            let metrics = Arc::clone(&self.metrics);
            metrics.while_open(oldest, self.settle(&mut batch)).await;
            batch.working_set.give_back(&mut self.states);
            self.metrics.batch_over(self.states.len());
        }
    }

    /// Waits for commands and takes all that wait, up to the size of a batch. Says no when there will be none any more.
    async fn take_waiting(&mut self, taken: &mut Vec<Waiting<D>>) -> bool {
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

    /// The process stops and has no time left: nothing of these is stored.
    fn turn_away(&self, taken: &mut Vec<Waiting<D>>) {
        for waiting in taken.drain(..) {
            self.metrics.ended(Ending::ShuttingDown);
            // Who asked may have gone.
            let _ = waiting.reply.send(Err(CommandError::ShuttingDown));
        }
    }

    /// Goes round until every command of the batch has its outcome.
    async fn settle(&mut self, batch: &mut Batch<D>) {
        let mut patience = self.new_patience(batch);
        while batch.has_open_commands() {
            match self.go_round(batch, patience).await {
                Ok(Landing::Stands) => patience = self.new_patience(batch),
                Ok(Landing::DecideAgain) => {}
                Err(gave_up) => batch.give_up(gave_up),
            }
        }
    }

    async fn go_round(&mut self, batch: &mut Batch<D>, patience: Patience) -> Result<Landing, GaveUp> {
        self.load_missing(batch, patience).await?;
        let proposal = batch.decide(&self.config);
        if self.commit(batch, proposal, patience).await? == Landing::DecideAgain {
            return Ok(Landing::DecideAgain);
        }
        self.confirm_refusals(batch, patience).await?;
        Ok(Landing::Stands)
    }

    fn new_patience(&self, batch: &Batch<D>) -> Patience {
        Patience::new(self.config.commit_timeout, batch.entries.first().map(|entry| entry.request_id))
    }
}
