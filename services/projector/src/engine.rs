//! The projector's state: the stores, the views, the rows in memory and the owned partitions.

use std::{collections::BTreeMap, sync::Arc};

use diptych_kernel::{
    Partition,
    domain::{Domain, View, ViewId, view_set_name},
    ports::{EventStore, Offset, PortError, ProgressStore, Remedy, ViewCache, ViewStore},
};
use diptych_runtime::{Backoff, LogLimiter, Shutdown};
use tokio::time::Instant;

use crate::{
    config::ProjectorConfig,
    error::{ProjectorError, Stop},
    metrics::ProjectorMetrics,
    partition::{PartitionState, PartitionStatus},
    pending_progress::PendingProgress,
    retry::{Heartbeat, Retry},
    rows::{HotRows, Table, TableIndex},
    stream_versions::STREAM_VERSIONS,
};

/// The state and stores of a projector, without the log.
pub(crate) struct Engine<D: Domain, S, V, P, C> {
    pub(crate) events: Arc<S>,
    pub(crate) store: Arc<V>,
    pub(crate) progress: Arc<P>,
    pub(crate) cache: Arc<C>,
    pub(crate) config: ProjectorConfig,
    pub(crate) shutdown: Shutdown,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) views: Vec<Box<dyn View<D::Event>>>,
    pub(crate) view_set_name: String,
    /// The tables of the views, in order, then that of the stream versions.
    pub(crate) tables: Vec<Table>,
    pub(crate) hot_rows: HotRows,
    pub(crate) owned: BTreeMap<Partition, PartitionState>,
    pub(crate) pending_progress: PendingProgress,
    pub(crate) metrics: ProjectorMetrics,
    /// Failures of the write database do not delay the log: tasks that need it are postponed.
    write_database_backoff: Backoff,
    write_database_log_limiter: LogLimiter,
    /// The partition of the last task, after which the next one is looked for.
    last_partition: Partition,
}

/// The result of [`Engine::run_task`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TaskResult {
    /// No task was due.
    Idle,
    /// A task was run; more may be due.
    Done,
    /// The log of the partition is to be read from this offset on.
    StartReading(Partition, Offset),
}

/// The next task of a partition.
enum Task {
    StartReading(Offset),
    RecoverLostRecords,
    CatchUpViews,
    RetryParked,
}

impl<D, S, V, P, C> Engine<D, S, V, P, C>
where
    D: Domain,
    S: EventStore,
    V: ViewStore,
    P: ProgressStore,
    C: ViewCache,
{
    pub(crate) fn new(
        (events, store, progress, cache): (Arc<S>, Arc<V>, Arc<P>, Arc<C>),
        config: ProjectorConfig,
        shutdown: Shutdown,
    ) -> Self {
        let views = D::views();
        let view_set_name = view_set_name(&views.iter().map(|view| view.id()).collect::<Vec<_>>());
        let mut tables: Vec<Table> =
            views.iter().map(|view| Table { view: view.id(), is_written_once: view.has_one_event_per_row() }).collect();
        tables.push(Table { view: STREAM_VERSIONS, is_written_once: false });
        Self {
            hot_rows: HotRows::new(&tables, config.hot_rows_max),
            write_database_backoff: Backoff::new(config.retry_delay_min, config.retry_delay_max),
            write_database_log_limiter: LogLimiter::default(),
            owned: BTreeMap::new(),
            pending_progress: PendingProgress::default(),
            metrics: ProjectorMetrics::new(),
            last_partition: Partition::default(),
            heartbeat: Heartbeat::default(),
            events,
            store,
            progress,
            cache,
            config,
            shutdown,
            view_set_name,
            views,
            tables,
        }
    }

    /// The index of the table of stream versions.
    pub(crate) fn stream_versions_table(&self) -> TableIndex {
        self.views.len()
    }

    /// The ids of all tables.
    pub(crate) fn table_ids(&self) -> Vec<ViewId> {
        self.tables.iter().map(|table| table.view).collect()
    }

    /// Retries of one call, named `call` in log lines and metrics.
    pub(crate) fn retry(&self, call: &'static str) -> Retry {
        Retry::new(call, &self.config, &self.shutdown)
    }

    /// Runs one due task other than processing the log, with the partitions taking turns.
    pub(crate) async fn run_task(&mut self) -> Result<TaskResult, Stop> {
        let now = Instant::now();
        let after =
            self.owned.range(self.last_partition..).skip_while(|(partition, _)| **partition == self.last_partition);
        let mut all = after.chain(self.owned.range(..=self.last_partition));
        let Some((partition, task)) = all.find_map(|(partition, state)| Some((*partition, task_of(state, now)?)))
        else {
            return Ok(TaskResult::Idle);
        };
        self.last_partition = partition;
        match task {
            Task::StartReading(offset) => return Ok(TaskResult::StartReading(partition, offset)),
            Task::RecoverLostRecords => self.recover_lost_records(partition).await?,
            Task::CatchUpViews => self.catch_up_views(partition).await?,
            Task::RetryParked => self.retry_parked(partition).await?,
        }
        Ok(TaskResult::Done)
    }

    /// The latest time of the next task; now where one is due already.
    pub(crate) fn next_task_at(&self) -> Option<Instant> {
        let now = Instant::now();
        let due = |state: &PartitionState| if task_of(state, now).is_some() { Some(now) } else { state.next_work_at() };
        self.owned.values().filter_map(due).min()
    }

    /// Postpones a partition's reads of the write database after a failure, and returns until when.
    pub(crate) fn postpone(&mut self, partition: Partition, error: PortError) -> Result<Instant, Stop> {
        if error.remedy() == Remedy::Operator {
            return Err(Stop::Failed(ProjectorError::Operator(error)));
        }
        let until = Instant::now() + self.write_database_backoff.next_delay();
        if self.write_database_log_limiter.allow().is_some() {
            let partition = partition.number();
            tracing::warn!(partition, %error, "reading from the write database failed; the projector retries");
        }
        if let Some(state) = self.owned.get_mut(&partition) {
            state.postpone_catch_up(until);
        }
        Ok(until)
    }

    /// Resets the backoff after an answer of the write database.
    pub(crate) fn write_database_answered(&mut self) {
        self.write_database_backoff.reset();
        self.write_database_log_limiter.reset();
    }

    /// The log of a partition is being read from this offset on.
    pub(crate) fn reading_started(&mut self, partition: Partition, offset: Offset) {
        if let Some(state) = self.owned.get_mut(&partition) {
            state.become_reading(offset);
        }
    }

    pub(crate) fn update_ages(&self) {
        for (partition, state) in &self.owned {
            self.metrics.set_age(*partition, state.oldest_pending_at());
        }
    }
}

fn task_of(state: &PartitionState, now: Instant) -> Option<Task> {
    if state.may_catch_up(now) {
        match state.status() {
            PartitionStatus::Starting(offset) => return Some(Task::StartReading(offset)),
            PartitionStatus::Recovering(_) => return Some(Task::RecoverLostRecords),
            PartitionStatus::Reading | PartitionStatus::Halted => {}
        }
        if state.has_views_to_catch_up() {
            return Some(Task::CatchUpViews);
        }
    }
    state.has_retries(now).then_some(Task::RetryParked)
}
