//! What a projector has in hand: the stores, the views, the rows in memory and the partitions that it owns.

use std::{collections::BTreeMap, sync::Arc};

use diptych_kernel::{
    Partition,
    domain::{Domain, View, ViewId},
    ports::{EventStore, Offset, PortError, ProgressStore, Remedy, ViewCache, ViewStore},
};
use diptych_runtime::{Backoff, LogLimiter, Shutdown};
use tokio::time::Instant;

use crate::{
    ProjectorConfig,
    error::{ProjectorError, Stop},
    heads::STREAM_HEADS,
    metrics::ProjectorMetrics,
    partition::{PartitionState, Phase, ViewState},
    retry::{Pulse, Retry},
    rows::{HotRows, Table, TableIndex},
    unsaved::Unsaved,
};

/// Everything but the log.
pub(crate) struct Engine<D: Domain, S, V, P, C> {
    pub(crate) events: Arc<S>,
    pub(crate) store: Arc<V>,
    pub(crate) progress: Arc<P>,
    pub(crate) cache: Arc<C>,
    pub(crate) config: ProjectorConfig,
    pub(crate) shutdown: Shutdown,
    pub(crate) pulse: Pulse,
    pub(crate) views: Vec<Box<dyn View<D::Event>>>,
    /// Those of the views, in order, then that of the stream heads.
    pub(crate) tables: Vec<Table>,
    pub(crate) hot: HotRows,
    pub(crate) owned: BTreeMap<Partition, PartitionState>,
    pub(crate) unsaved: Unsaved,
    pub(crate) metrics: ProjectorMetrics,
    /// Failures of the write side do not hold the log up: what needs it is put off.
    write_side: Backoff,
    write_side_logged: LogLimiter,
    worked_last: Partition,
}

/// What a piece of work came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Worked {
    /// There was nothing to do.
    Nothing,
    /// It is done; there may be more.
    Done,
    /// The partition is to be read from this offset on.
    Start(Partition, Offset),
}

/// What is to be done next in a partition.
enum Task {
    Start(Offset),
    Recover,
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
        let mut tables: Vec<Table> =
            views.iter().map(|view| Table { view: view.id(), is_written_once: view.has_one_event_per_row() }).collect();
        tables.push(Table { view: STREAM_HEADS, is_written_once: false });
        Self {
            hot: HotRows::new(tables.len(), config.hot_rows_max),
            write_side: Backoff::new(config.retry_delay_min, config.retry_delay_max),
            write_side_logged: LogLimiter::default(),
            owned: BTreeMap::new(),
            unsaved: Unsaved::default(),
            metrics: ProjectorMetrics::new(),
            worked_last: Partition::default(),
            pulse: Pulse::default(),
            events,
            store,
            progress,
            cache,
            config,
            shutdown,
            views,
            tables,
        }
    }

    /// The table of the stream heads.
    pub(crate) fn heads(&self) -> TableIndex {
        self.views.len()
    }

    /// The names of all tables.
    pub(crate) fn table_ids(&self) -> Vec<ViewId> {
        self.tables.iter().map(|table| table.view).collect()
    }

    pub(crate) fn retry(&self, what: &'static str) -> Retry {
        Retry::new(what, &self.config, &self.shutdown, &self.pulse)
    }

    /// Does one piece of what is to be done without a record from the log, in one partition after the other.
    pub(crate) async fn work(&mut self) -> Result<Worked, Stop> {
        let now = Instant::now();
        let after = self.owned.range(self.worked_last..).skip_while(|(partition, _)| **partition == self.worked_last);
        let mut all = after.chain(self.owned.range(..=self.worked_last));
        let Some((partition, task)) = all.find_map(|(partition, state)| Some((*partition, task_of(state, now)?)))
        else {
            return Ok(Worked::Nothing);
        };
        self.worked_last = partition;
        match task {
            Task::Start(offset) => return Ok(Worked::Start(partition, offset)),
            Task::Recover => self.recover(partition).await?,
            Task::CatchUpViews => self.catch_up_views(partition).await?,
            Task::RetryParked => self.retry_parked(partition).await?,
        }
        Ok(Worked::Done)
    }

    /// When there is work at the latest; now where there is some already.
    pub(crate) fn next_work(&self) -> Option<Instant> {
        let now = Instant::now();
        let due = |state: &PartitionState| if task_of(state, now).is_some() { Some(now) } else { state.next_work() };
        self.owned.values().filter_map(due).min()
    }

    /// Puts a partition's need of the write side off after a failure; returns until when.
    pub(crate) fn put_off(&mut self, partition: Partition, error: PortError) -> Result<Instant, Stop> {
        if error.remedy() == Remedy::Operator {
            return Err(Stop::Failed(ProjectorError::Operator(error)));
        }
        let until = Instant::now() + self.write_side.next_delay();
        if self.write_side_logged.allow().is_some() {
            tracing::warn!(%partition, %error, "the projector cannot catch up for now");
        }
        if let Some(state) = self.owned.get_mut(&partition) {
            state.catch_up_at = until;
        }
        Ok(until)
    }

    /// The write side has answered.
    pub(crate) fn write_side_answered(&mut self) {
        self.write_side.reset();
        self.write_side_logged.reset();
    }

    /// The log is being read from here on.
    pub(crate) fn started(&mut self, partition: Partition, offset: Offset) {
        if let Some(state) = self.owned.get_mut(&partition) {
            state.phase = Phase::Reading;
            state.expected = offset;
            state.taken = offset;
            state.heard_up_to = state.heard_up_to.max(state.live.position);
        }
    }

    pub(crate) fn show_ages(&self) {
        for (partition, state) in &self.owned {
            self.metrics.show_age(*partition, state.oldest_undone());
        }
    }
}

fn task_of(state: &PartitionState, now: Instant) -> Option<Task> {
    if state.catch_up_at <= now {
        match state.phase {
            Phase::Starting(offset) => return Some(Task::Start(offset)),
            Phase::Recovering(_) => return Some(Task::Recover),
            Phase::Reading | Phase::Halted => {}
        }
        if state.views.iter().any(ViewState::needs_catching_up) {
            return Some(Task::CatchUpViews);
        }
    }
    (state.is_retrying || state.retry_is_due(now)).then_some(Task::RetryParked)
}
