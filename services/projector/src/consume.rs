//! The loop: listen to the log, do what it says, tell the group how far it is.

use std::{collections::BTreeMap, pin::pin, time::Duration};

use diptych_kernel::{
    Partition,
    domain::Domain,
    ports::{
        Assignment, CommitOutcome, Consumer, Effect, EventLog, EventStore, LogSignal, Offset, PortError, ProgressStore,
        ViewCache, ViewStore,
    },
};
use diptych_runtime::{Shutdown, pause};
use tokio::time::Instant;

use crate::{
    Ports, ProjectorConfig, ProjectorError,
    engine::{Engine, Worked},
    error::Stop,
    retry::{Pulse, Retry},
};

/// How many pieces of other work are done between two polls of the log.
const PIECES_PER_POLL: usize = 4;

/// Runs a projector until shutdown, as a member of its group.
///
/// Returns when the batch in flight is stored and its offsets are committed, at the latest [`ProjectorConfig::shutdown_wait_max`] after
/// shutdown begins. What is broken off is done again by whoever owns the partition next.
///
/// # Errors
/// What only a person can mend; see [`ProjectorError`].
pub async fn run<D, S, L, V, P, C>(
    ports: Ports<S, L, V, P, C>,
    config: ProjectorConfig,
    shutdown: Shutdown,
) -> Result<(), ProjectorError>
where
    D: Domain,
    S: EventStore,
    L: EventLog,
    V: ViewStore,
    P: ProgressStore,
    C: ViewCache,
{
    let (store, log) = (ports.events.partitions(), ports.log.partitions());
    if store != log {
        return Err(ProjectorError::PartitionsDiffer { store, log });
    }
    let wait_max = config.shutdown_wait_max;
    let Ports { events, log, views, progress, cache } = ports;
    let engine = Engine::<D, S, V, P, C>::new((events, views, progress, cache), config, shutdown.clone());
    let member = Member { pending: BTreeMap::new(), commit_at: None, retry: engine.retry("listen"), engine };
    let stopped = tokio::select! {
        biased;
        stopped = member.run(&*log) => stopped,
        () = after(&shutdown, wait_max) => {
            tracing::warn!(?wait_max, "the projector's stores did not answer during shutdown");
            Stop::Shutdown
        }
    };
    match stopped {
        Stop::Shutdown => Ok(()),
        Stop::Failed(error) => Err(error),
    }
}

async fn after(shutdown: &Shutdown, wait_max: Duration) {
    shutdown.begun().await;
    pause(wait_max).await;
}

/// Does a piece of work that takes as long as its stores are away. As long as calls come back, if only as failures, the group hears that this
/// member is there: its partitions stay where the rows of them are in memory, and nothing has to be joined anew when the stores are back.
/// A member that is hung in a call is dead to the group after its session.
async fn alive_while<T>(
    consumer: &mut impl Consumer,
    (every, pulse): (Duration, Pulse),
    work: impl Future<Output = T>,
) -> T {
    let (mut work, mut heard) = (pin!(work), pulse.count());
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = pause(every) => {}
        }
        let now = pulse.count();
        if now != heard {
            heard = now;
            consumer.heartbeat().await;
        }
    }
}

/// A member of the group.
struct Member<D: Domain, S, V, P, C> {
    engine: Engine<D, S, V, P, C>,
    /// Offsets whose work is stored and which are not committed yet.
    pending: BTreeMap<Partition, Offset>,
    /// When they are to be, if there are any.
    commit_at: Option<Instant>,
    retry: Retry,
}

impl<D, S, V, P, C> Member<D, S, V, P, C>
where
    D: Domain,
    S: EventStore,
    V: ViewStore,
    P: ProgressStore,
    C: ViewCache,
{
    async fn run<L: EventLog>(mut self, log: &L) -> Stop {
        match self.live(log).await {
            Ok(()) => Stop::Shutdown,
            Err(stop) => stop,
        }
    }

    async fn live<L: EventLog>(&mut self, log: &L) -> Result<(), Stop> {
        self.ensure_tables().await?;
        while !self.engine.shutdown.has_begun() {
            let mut consumer = self.join(log).await?;
            let left = self.listen(log, &mut consumer).await;
            // Also when the work is broken off: what is pending is stored.
            self.engine.save_rest().await;
            self.commit(&mut consumer).await?;
            left?;
            self.engine.release_all();
        }
        Ok(())
    }

    async fn ensure_tables(&self) -> Result<(), Stop> {
        let tables = self.engine.table_ids();
        let mut retry = self.engine.retry("ensure tables");
        while let Err(error) = self.engine.store.ensure_views(&tables).await {
            retry.after(error).await?;
        }
        Ok(())
    }

    async fn join<L: EventLog>(&mut self, log: &L) -> Result<L::Consumer, Stop> {
        let mut retry = self.engine.retry("join");
        loop {
            let ProjectorConfig { group, member, .. } = &self.engine.config;
            match log.join(group, member).await {
                Ok(consumer) => return Ok(consumer),
                Err(error) => retry.after(error).await?,
            }
        }
    }

    /// Listens until shutdown, or until it is not known what was heard: then the group is joined anew.
    async fn listen<L: EventLog>(&mut self, log: &L, consumer: &mut L::Consumer) -> Result<(), Stop> {
        loop {
            self.do_other_work(consumer).await?;
            if self.commit_at.is_some_and(|at| at <= Instant::now()) {
                self.commit(consumer).await?;
            }
            let (limit, wait_max) = (self.engine.config.batch_records_max.max(1), self.wait_max());
            let heard = tokio::select! {
                heard = consumer.poll(limit, wait_max) => heard,
                () = self.engine.shutdown.begun() => return Ok(()),
            };
            match heard {
                Ok(signal) => {
                    self.retry.succeeded();
                    self.follow(log, consumer, signal).await?;
                }
                Err(error) => {
                    let is_lost = error.effect() == Effect::Unknown;
                    self.retry.after(error).await?;
                    if is_lost {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn follow<L: EventLog>(
        &mut self,
        log: &L,
        consumer: &mut L::Consumer,
        signal: LogSignal,
    ) -> Result<(), Stop> {
        match signal {
            LogSignal::Records(records) => {
                let life = self.life();
                let taken = alive_while(consumer, life, self.engine.project(records)).await?;
                self.pending.extend(taken);
                self.commit_at.get_or_insert_with(|| Instant::now() + self.engine.config.commit_interval);
                Ok(())
            }
            LogSignal::Assigned(assignments) => {
                self.pending.retain(|partition, _| assignments.iter().all(|given| given.partition != *partition));
                let life = self.life();
                alive_while(consumer, life, self.take_over(log, &assignments)).await
            }
            LogSignal::Revoked(partitions, guard) => {
                // Nothing is in flight here. The group goes on when the guard is dropped.
                self.engine.save_rest().await;
                self.commit(consumer).await?;
                self.pending.retain(|partition, _| !partitions.contains(partition));
                self.engine.release(&partitions);
                drop(guard);
                Ok(())
            }
            LogSignal::Idle => {
                // Ages grow also where nothing is read.
                self.engine.show_ages();
                Ok(())
            }
        }
    }

    /// Takes over partitions that the group has given to this member.
    async fn take_over<L: EventLog>(&mut self, log: &L, assignments: &[Assignment]) -> Result<(), Stop> {
        let mut retry = self.engine.retry("look up the ends of the log");
        let ends = loop {
            match log.ends().await {
                Ok(ends) => break ends,
                Err(error) => retry.after(error).await?,
            }
        };
        self.engine.assign(assignments, &ends).await
    }

    /// What is due beside listening, in small pieces.
    async fn do_other_work(&mut self, consumer: &mut impl Consumer) -> Result<(), Stop> {
        let life = self.life();
        alive_while(consumer, life, self.engine.save_due()).await?;
        for _ in 0..PIECES_PER_POLL {
            let life = self.life();
            match alive_while(consumer, life, self.engine.work()).await? {
                Worked::Nothing => break,
                Worked::Done => {}
                Worked::Start(partition, offset) => match consumer.seek(partition, offset).await {
                    Ok(()) => self.engine.started(partition, offset),
                    Err(error) => {
                        self.engine.put_off(partition, error)?;
                    }
                },
            }
        }
        Ok(())
    }

    /// How often signs of life are given while work goes on, and what they are taken from.
    fn life(&self) -> (Duration, Pulse) {
        (self.engine.config.poll_wait_max, self.engine.pulse.clone())
    }

    fn wait_max(&self) -> Duration {
        let now = Instant::now();
        let due = [self.commit_at, self.engine.unsaved.due_at(), self.engine.next_work()];
        let until = due.into_iter().flatten().min();
        let wait_max = until.map_or(Duration::MAX, |until| until.saturating_duration_since(now));
        wait_max.min(self.engine.config.poll_wait_max)
    }

    /// Tells the group how far it is. A failure puts it off: the progress in the read database is what a restart goes by.
    async fn commit(&mut self, consumer: &mut impl Consumer) -> Result<(), Stop> {
        self.commit_at = None;
        if self.pending.is_empty() {
            return Ok(());
        }
        let offsets: Vec<(Partition, Offset)> =
            self.pending.iter().map(|(partition, offset)| (*partition, *offset)).collect();
        match consumer.commit(&offsets).await {
            Ok(CommitOutcome::Committed) => self.pending.clear(),
            Ok(CommitOutcome::Fenced) => self.commit_each(consumer, &offsets).await,
            Err(error) => self.put_commit_off(&error),
        }
        Ok(())
    }

    /// One of the partitions is another member's. Its rows in memory may be behind what that one has stored; everything this member still
    /// writes of it is harmless by position, and the group says soon that it is gone.
    async fn commit_each(&mut self, consumer: &mut impl Consumer, offsets: &[(Partition, Offset)]) {
        for (partition, offset) in offsets {
            match consumer.commit(&[(*partition, *offset)]).await {
                Ok(CommitOutcome::Committed) => {}
                Ok(CommitOutcome::Fenced) => {
                    tracing::info!(%partition, "another member has the partition");
                    self.engine.metrics.commits_fenced.increment(1);
                    self.engine.hot.forget(&[*partition]);
                }
                Err(error) => {
                    self.put_commit_off(&error);
                    continue;
                }
            }
            self.pending.remove(partition);
        }
    }

    fn put_commit_off(&mut self, error: &PortError) {
        tracing::debug!(%error, "offsets could not be committed");
        self.commit_at = Some(Instant::now() + self.engine.config.commit_interval);
    }
}
