//! The main loop of a group member: polls the log, processes its signals, runs due tasks and commits offsets.

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
use tokio::{sync::watch, time::Instant};

use crate::{
    config::{Ports, ProjectorConfig},
    engine::{Engine, TaskResult},
    error::{ProjectorError, Stop},
    retry::{Heartbeat, Retry},
    state::ProjectorState,
};

/// The maximum number of other tasks between two polls of the log.
const TASKS_PER_POLL: usize = 4;

/// Runs a projector until shutdown, as a member of its group, and reports its state.
///
/// Returns when the batch in flight is stored and its offsets are committed, at the latest
/// [`ProjectorConfig::shutdown_wait_max`] after shutdown begins. Interrupted work is repeated by the next owner of the
/// partition.
///
/// # Errors
/// On failures that only an operator can fix; see [`ProjectorError`].
pub async fn run<D, S, L, V, P, C>(
    ports: Ports<S, L, V, P, C>,
    config: ProjectorConfig,
    state: watch::Sender<ProjectorState>,
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
    let member = GroupMember {
        uncommitted: BTreeMap::new(),
        commit_at: None,
        retry: engine.retry("poll log"),
        joined_at: Instant::now(),
        state,
        engine,
    };
    let stopped = tokio::select! {
        biased;
        stopped = member.run(&*log) => stopped,
        () = after(&shutdown, wait_max) => {
            tracing::warn!(wait_max_ms = wait_max.as_millis(), "shutdown timed out: the projector's stores did not answer");
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

/// Keeps the group membership alive during work that may last as long as its stores are slow or down. While calls are
/// answered, if only with failures, this member stays in the group: its partitions stay where their rows are in memory,
/// and it need not join again when the stores are back. A member that hangs in a call leaves the group when its session
/// times out.
async fn keep_alive_during<T>(
    consumer: &mut impl Consumer,
    (every, heartbeat): (Duration, Heartbeat),
    work: impl Future<Output = T>,
) -> T {
    let (mut work, mut last) = (pin!(work), heartbeat.count());
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = pause(every) => {}
        }
        let now = heartbeat.count();
        if now != last {
            last = now;
            consumer.heartbeat().await;
        }
    }
}

/// A member of the consumer group.
struct GroupMember<D: Domain, S, V, P, C> {
    engine: Engine<D, S, V, P, C>,
    /// Offsets up to which everything is stored, and which are not committed yet.
    uncommitted: BTreeMap<Partition, Offset>,
    /// The time of the next commit, if there is one.
    commit_at: Option<Instant>,
    retry: Retry,
    joined_at: Instant,
    state: watch::Sender<ProjectorState>,
}

impl<D, S, V, P, C> GroupMember<D, S, V, P, C>
where
    D: Domain,
    S: EventStore,
    V: ViewStore,
    P: ProgressStore,
    C: ViewCache,
{
    async fn run<L: EventLog>(mut self, log: &L) -> Stop {
        match self.run_until_shutdown(log).await {
            Ok(()) => Stop::Shutdown,
            Err(stop) => stop,
        }
    }

    async fn run_until_shutdown<L: EventLog>(&mut self, log: &L) -> Result<(), Stop> {
        self.ensure_tables().await?;
        while !self.engine.shutdown.has_begun() {
            let mut consumer = self.join(log).await?;
            let polled = self.poll_log(log, &mut consumer).await;
            // Even after a failure: the uncommitted offsets are of stored work.
            self.engine.save_pending().await;
            self.commit(&mut consumer).await?;
            polled?;
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
        let mut retry = self.engine.retry("join group");
        loop {
            let ProjectorConfig { group, member, .. } = &self.engine.config;
            match log.join(group, member).await {
                Ok(consumer) => {
                    self.joined_at = Instant::now();
                    return Ok(consumer);
                }
                Err(error) => retry.after(error).await?,
            }
        }
    }

    /// Polls the log until shutdown, or until a poll fails with an unknown outcome: then the group has to be joined
    /// again.
    async fn poll_log<L: EventLog>(&mut self, log: &L, consumer: &mut L::Consumer) -> Result<(), Stop> {
        loop {
            self.run_due_tasks(consumer).await?;
            self.report_state();
            if self.commit_at.is_some_and(|at| at <= Instant::now()) {
                self.commit(consumer).await?;
            }
            let (limit, wait_max) = (self.engine.config.batch_records_max.max(1), self.wait_max());
            let polled = tokio::select! {
                polled = consumer.poll(limit, wait_max) => polled,
                () = self.engine.shutdown.begun() => return Ok(()),
            };
            match polled {
                Ok(signal) => {
                    self.retry.succeeded();
                    self.process_signal(log, consumer, signal).await?;
                }
                Err(error) => {
                    let is_unknown = error.effect() == Effect::Unknown;
                    self.retry.after(error).await?;
                    if is_unknown {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn process_signal<L: EventLog>(
        &mut self,
        log: &L,
        consumer: &mut L::Consumer,
        signal: LogSignal,
    ) -> Result<(), Stop> {
        match signal {
            LogSignal::Records(records) => {
                let heartbeat = self.heartbeat();
                let applied = keep_alive_during(consumer, heartbeat, self.engine.project(records)).await?;
                self.uncommitted.extend(applied);
                self.commit_at.get_or_insert_with(|| Instant::now() + self.engine.config.commit_interval);
                Ok(())
            }
            LogSignal::Assigned(assignments) => {
                self.uncommitted
                    .retain(|partition, _| assignments.iter().all(|assignment| assignment.partition != *partition));
                let heartbeat = self.heartbeat();
                keep_alive_during(consumer, heartbeat, self.assign_partitions(log, &assignments)).await
            }
            LogSignal::Revoked(partitions, guard) => {
                // No batch is in flight here. The rebalance continues when the guard is dropped.
                self.engine.save_pending().await;
                self.commit(consumer).await?;
                self.uncommitted.retain(|partition, _| !partitions.contains(partition));
                self.engine.release(&partitions);
                drop(guard);
                Ok(())
            }
            LogSignal::Idle => {
                // Ages grow even while nothing is read.
                self.engine.update_ages();
                Ok(())
            }
        }
    }

    /// Takes over partitions that the group has assigned to this member.
    async fn assign_partitions<L: EventLog>(&mut self, log: &L, assignments: &[Assignment]) -> Result<(), Stop> {
        let mut retry = self.engine.retry("read log ends");
        let ends = loop {
            match self.engine.heartbeat.beat_after(log.ends()).await {
                Ok(ends) => break ends,
                Err(error) => retry.after(error).await?,
            }
        };
        self.engine.assign(assignments, &ends).await
    }

    /// Saves due progress and runs a limited number of due tasks.
    async fn run_due_tasks(&mut self, consumer: &mut impl Consumer) -> Result<(), Stop> {
        let heartbeat = self.heartbeat();
        keep_alive_during(consumer, heartbeat, self.engine.save_due()).await?;
        for _ in 0..TASKS_PER_POLL {
            let heartbeat = self.heartbeat();
            match keep_alive_during(consumer, heartbeat, self.engine.run_task()).await? {
                TaskResult::Idle => break,
                TaskResult::Done => {}
                TaskResult::StartReading(partition, offset) => match consumer.seek(partition, offset).await {
                    Ok(()) => self.engine.reading_started(partition, offset),
                    Err(error) => {
                        self.engine.postpone(partition, error)?;
                    }
                },
            }
        }
        Ok(())
    }

    fn report_state(&self) {
        let now = self.engine.state(self.joined_at);
        self.state.send_if_modified(|state| {
            let is_modified = *state != now;
            *state = now;
            is_modified
        });
    }

    /// The interval at which the membership is kept alive during work, and the counter that shows that the work is not
    /// hung.
    fn heartbeat(&self) -> (Duration, Heartbeat) {
        (self.engine.config.poll_wait_max, self.engine.heartbeat.clone())
    }

    /// The time to wait for records: until the next commit, save or task is due, within the configured maximum.
    fn wait_max(&self) -> Duration {
        let now = Instant::now();
        let due = [self.commit_at, self.engine.pending_progress.due_at(), self.engine.next_task_at()];
        let until = due.into_iter().flatten().min();
        let wait_max = until.map_or(Duration::MAX, |until| until.saturating_duration_since(now));
        wait_max.min(self.engine.config.poll_wait_max)
    }

    /// Commits offsets to the group. A failure postpones it: a restart uses the progress in the read database.
    async fn commit(&mut self, consumer: &mut impl Consumer) -> Result<(), Stop> {
        self.commit_at = None;
        if self.uncommitted.is_empty() {
            return Ok(());
        }
        let offsets: Vec<(Partition, Offset)> =
            self.uncommitted.iter().map(|(partition, offset)| (*partition, *offset)).collect();
        match consumer.commit(&offsets).await {
            Ok(CommitOutcome::Committed) => self.uncommitted.clear(),
            Ok(CommitOutcome::Fenced) => self.commit_each(consumer, &offsets).await,
            Err(error) => self.postpone_commit(&error),
        }
        Ok(())
    }

    /// Commits one partition at a time, after a commit was fenced because another member owns one of them. Its rows in
    /// memory may be older than those stored by that member; rows that this member still writes are harmless by
    /// position, and the group will revoke the partition.
    async fn commit_each(&mut self, consumer: &mut impl Consumer, offsets: &[(Partition, Offset)]) {
        for (partition, offset) in offsets {
            match consumer.commit(&[(*partition, *offset)]).await {
                Ok(CommitOutcome::Committed) => {}
                Ok(CommitOutcome::Fenced) => {
                    tracing::info!(
                        partition = partition.number(),
                        "offset commit fenced: another member owns the partition"
                    );
                    self.engine.metrics.commits_fenced.increment(1);
                    self.engine.hot_rows.evict(&[*partition]);
                }
                Err(error) => {
                    self.postpone_commit(&error);
                    continue;
                }
            }
            self.uncommitted.remove(partition);
        }
    }

    fn postpone_commit(&mut self, error: &PortError) {
        tracing::debug!(%error, "offsets could not be committed; the commit is repeated");
        self.commit_at = Some(Instant::now() + self.engine.config.commit_interval);
    }
}
