//! The sequencer of contended streams: decides the commands on streams to which other processes write too, in turn with
//! these.
//!
//! A task of its own, so that no other command waits for a turn. It has a queue, a cache and batches like the
//! [`Sequencer`](super::Sequencer), which hands it the commands. A turn lasts for several batches: without the streams
//! being loaded again, as the other processes wait meanwhile.

use std::{collections::BTreeSet, mem, sync::Arc, time::Duration};

use diptych_kernel::{Partition, StreamId, domain::Domain, ports::EventStore};
use diptych_runtime::Shutdown;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

use super::{
    batch::CommandBatch, commit::BatchOutcome, contended::ContendedStreams, reject_all, states::StateCache,
    store_access::StoreAccess, turn::HeldTurn,
};
use crate::{
    CommandError, SequencerConfig,
    metrics::{CommandOutcome, Metrics},
    submission::PendingCommand,
};

/// Longest wait for further commands within a turn: the time from a reply to the next command of the same caller.
const TURN_IDLE_MAX: Duration = Duration::from_millis(2);

/// The queue of the sequencer of contended streams.
pub(super) struct ContendedQueue<D: Domain> {
    pub(super) commands: mpsc::Sender<PendingCommand<D>>,
    pub(super) contended: Arc<ContendedStreams>,
    pub(super) metrics: Arc<Metrics>,
}

impl<D: Domain> ContendedQueue<D> {
    /// Hands over claimed commands, which `states` then does not know any more. If the queue is full, they fail.
    pub(super) fn hand_over(&self, claimed: &mut Vec<PendingCommand<D>>, states: &mut StateCache<D>) {
        for command in claimed.drain(..) {
            for stream_id in &command.streams {
                states.take(stream_id);
            }
            if let Err(refused) = self.commands.try_send(command) {
                let (mpsc::error::TrySendError::Full(command) | mpsc::error::TrySendError::Closed(command)) = refused;
                self.contended.release(&command.streams);
                for caller in command.callers {
                    self.metrics.record_outcome(CommandOutcome::Overloaded);
                    // The caller may have gone.
                    let _ = caller.reply.send(Err(CommandError::Overloaded));
                }
            }
        }
    }
}

/// The task that decides commands on contended streams. It owns the states on which it decides.
pub(crate) struct ContendedLane<D: Domain, S> {
    pub(super) store: StoreAccess<S>,
    pub(super) config: SequencerConfig,
    pub(super) queue: mpsc::Receiver<PendingCommand<D>>,
    pub(super) states: StateCache<D>,
    pub(super) contended: Arc<ContendedStreams>,
    pub(super) turn: Option<HeldTurn>,
    /// The partitions of the commands since the last turn began. The next turn is for these too.
    pub(super) partitions: BTreeSet<Partition>,
    pub(super) shutdown: Shutdown,
    /// The end of the time for queued commands, once shutdown has begun.
    pub(super) drain_until: Option<Instant>,
    pub(super) metrics: Arc<Metrics>,
}

impl<D: Domain, S: EventStore> ContendedLane<D, S> {
    /// Runs until the sequencer that hands it commands has ended, and the queue is empty.
    pub(crate) async fn run(mut self) {
        let mut taken = Vec::with_capacity(self.config.batch_commands_max);
        while self.take_queued(&mut taken).await {
            let claimed: Vec<StreamId> = taken.iter().flat_map(|command| command.streams.iter().cloned()).collect();
            if self.is_drain_over() {
                reject_all(&mut taken, &self.metrics);
            } else {
                let oldest = taken.first().map(|oldest| oldest.queued_at);
                let metrics = Arc::clone(&self.metrics);
                metrics.track_age(oldest, self.run_batch(&mut taken, &claimed)).await;
            }
            self.contended.release(&claimed);
            if self.turn.as_ref().is_some_and(HeldTurn::is_over) {
                self.turn = None;
            }
        }
    }

    /// Takes all queued commands, up to the size of a batch. Ends the turn if there are none. Returns `false` when
    /// there will be no more.
    async fn take_queued(&mut self, taken: &mut Vec<PendingCommand<D>>) -> bool {
        let batch_commands_max = self.config.batch_commands_max;
        if self.turn.is_some() {
            match timeout(TURN_IDLE_MAX, self.queue.recv_many(taken, batch_commands_max)).await {
                Ok(count) => return count > 0,
                Err(_idle) => self.turn = None,
            }
        }
        self.queue.recv_many(taken, batch_commands_max).await > 0
    }

    fn is_drain_over(&mut self) -> bool {
        if self.drain_until.is_none() && self.shutdown.has_begun() {
            self.drain_until = Some(Instant::now() + self.config.commit_timeout);
        }
        self.drain_until.is_some_and(|until| Instant::now() >= until)
    }

    async fn run_batch(&mut self, taken: &mut Vec<PendingCommand<D>>, streams: &[StreamId]) {
        let mut turn = self.turn_for(streams).await;
        let mut batch = CommandBatch::gather(taken, &mut self.states, &self.metrics);
        batch.working_set.mark_all_stale_except(|stream_id| turn.loaded.contains(stream_id));
        self.process(&mut batch).await;
        let loaded = mem::take(&mut batch.loaded);
        turn.loaded.extend(loaded.iter().map(|(stream_id, _)| stream_id.clone()));
        self.contended.record_turn(loaded);
        batch.working_set.return_to_cache(&mut self.states);
        self.turn = Some(turn);
    }

    /// The turn for commands on these streams: the one that is held, if it covers them, or a new one.
    async fn turn_for(&mut self, streams: &[StreamId]) -> HeldTurn {
        let partitions = self.store.partitions_of(streams);
        let held = self.turn.take().filter(|turn| turn.covers(&partitions));
        if let Some(turn) = held {
            self.partitions.extend(partitions);
            return turn;
        }
        let wanted = self.partitions.union(&partitions).copied().collect();
        self.partitions = partitions;
        self.store.take_turn(wanted).await
    }

    /// Repeats rounds until every command of the batch has its result.
    async fn process(&mut self, batch: &mut CommandBatch<D>) {
        let mut retry = self.store.new_retry(batch, &self.config);
        while batch.has_open_commands() {
            let outcome = self.store.run_round(batch, &self.config, retry).await;
            for stream_id in batch.conflicted.drain(..) {
                self.contended.add(&stream_id);
            }
            match outcome {
                Ok(BatchOutcome::Committed) => retry = self.store.new_retry(batch, &self.config),
                Ok(BatchOutcome::Rejected) => {}
                Err(error) => batch.fail_open(error),
            }
        }
    }
}
