//! The sequencer of contended streams: decides the commands on streams to which other processes write too, in turn with
//! these.
//!
//! A task of its own, so that other commands do not wait for a turn. It has a queue, a cache and batches like the
//! [`Sequencer`](super::Sequencer), which hands it the commands. A turn lasts for several batches: without the streams
//! being loaded again, as the other processes wait meanwhile.

use std::{
    collections::BTreeSet,
    mem,
    sync::{Arc, OnceLock},
    time::Duration,
};

use diptych_kernel::{Partition, StreamId, domain::Domain, ports::EventStore};
use diptych_runtime::Shutdown;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

use super::{
    batch::CommandBatch, contended::ContendedStreams, reject, states::StateCache, store_access::StoreAccess,
    turn::HeldTurn,
};
use crate::{SequencerConfig, metrics::Metrics, submission::PendingCommand};

/// Longest wait for further commands within a turn: the time from a reply to the next command of the same caller.
const TURN_IDLE_MAX: Duration = Duration::from_millis(2);

/// Time without turns after a wait for one in vain, as when another process hangs within its turn. Appends then may
/// conflict, which is better than a wait before every batch.
const WITHOUT_TURNS: Duration = Duration::from_secs(5);

/// The queue of the sequencer of contended streams.
pub(super) struct ContendedQueue<D: Domain> {
    pub(super) commands: mpsc::Sender<PendingCommand<D>>,
    pub(super) contended: Arc<ContendedStreams>,
    pub(super) metrics: Arc<Metrics>,
}

impl<D: Domain> ContendedQueue<D> {
    /// Waits until there is room for a batch. The queue has one sender, so the room stays.
    pub(super) async fn room_for(&self, batch_commands_max: usize) {
        // An error means that the other sequencer has ended: `hand_over` tells the callers.
        let _ = self.commands.reserve_many(batch_commands_max).await;
    }

    /// Hands over claimed commands, for which there is room. `states` then does not know their streams any more.
    pub(super) fn hand_over(&self, claimed: &mut Vec<PendingCommand<D>>, states: &mut StateCache<D>) {
        for command in claimed.drain(..) {
            for stream_id in &command.streams {
                states.take(stream_id);
            }
            if let Err(refused) = self.commands.try_send(command) {
                let (mpsc::error::TrySendError::Full(command) | mpsc::error::TrySendError::Closed(command)) = refused;
                self.contended.release(&command.streams, None);
                reject(command, &self.metrics);
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
    /// Until then no turn is asked for.
    pub(super) without_turns_until: Option<Instant>,
    /// The partitions of the commands since the last turn began. The next turn is for these too.
    pub(super) partitions: BTreeSet<Partition>,
    pub(super) shutdown: Shutdown,
    /// As that of the other sequencer.
    pub(super) drain_until: Arc<OnceLock<Instant>>,
    pub(super) metrics: Arc<Metrics>,
}

impl<D: Domain, S: EventStore> ContendedLane<D, S> {
    /// Runs until the sequencer that hands it commands has ended, and the queue is empty.
    pub(crate) async fn run(mut self) {
        let mut taken = Vec::with_capacity(self.config.batch_commands_max);
        while self.take_queued(&mut taken).await {
            let claimed: Vec<StreamId> = taken.iter().flat_map(|command| command.streams.iter().cloned()).collect();
            if self.is_drain_over() {
                taken.drain(..).for_each(|command| reject(command, &self.metrics));
            } else {
                let oldest = taken.first().map(|oldest| oldest.queued_at);
                let metrics = Arc::clone(&self.metrics);
                metrics.track_age(oldest, self.run_batch(&mut taken, &claimed)).await;
            }
            self.contended.release(&claimed, self.turn.as_mut().map(|turn| &mut turn.loaded));
            if self.turn.as_ref().is_some_and(HeldTurn::is_over) {
                self.turn = None;
            }
            self.metrics.batch_finished(self.states.len());
        }
    }

    /// Takes all queued commands, up to the size of a batch. Ends the turn if there are none. Returns `false` when
    /// there will be no more.
    async fn take_queued(&mut self, taken: &mut Vec<PendingCommand<D>>) -> bool {
        let batch_commands_max = self.config.batch_commands_max;
        if self.turn.is_some() && timeout(TURN_IDLE_MAX, self.queue.recv_many(taken, batch_commands_max)).await.is_err()
        {
            self.turn = None;
        }
        if taken.is_empty() {
            self.queue.recv_many(taken, batch_commands_max).await;
        }
        if let Some(oldest) = taken.first() {
            self.metrics.batch_taken(taken.len(), self.queue.len(), oldest.queued_at.elapsed());
        }
        !taken.is_empty()
    }

    fn is_drain_over(&self) -> bool {
        let ends_at = || Instant::now() + self.config.commit_timeout;
        self.shutdown.has_begun() && Instant::now() >= *self.drain_until.get_or_init(ends_at)
    }

    async fn run_batch(&mut self, taken: &mut Vec<PendingCommand<D>>, streams: &[StreamId]) {
        let mut turn = self.turn_for(streams).await;
        let mut batch = CommandBatch::gather(taken, &mut self.states, &self.metrics);
        batch.working_set.mark_all_stale_except(|stream_id| turn.loaded.contains(stream_id));
        self.store.run_rounds(&mut batch, &self.config, &self.contended, |_| {}).await;
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
        // After a wait in vain the next one would most likely be too.
        if self.without_turns_until.is_some_and(|until| Instant::now() < until) {
            return HeldTurn::none();
        }
        let turn = self.store.take_turn(wanted).await;
        self.without_turns_until = turn.is_none().then(|| Instant::now() + WITHOUT_TURNS);
        turn
    }
}
