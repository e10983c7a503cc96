//! Waits until the tables of views are filled, before queries are answered from them.

use std::{collections::BTreeMap, fmt, time::Duration};

use diptych_kernel::{
    Partition, Position,
    domain::ViewId,
    ports::{PortResult, ProgressStore, ProgressUpdate, TablePosition},
};
use diptych_runtime::{LogLimiter, pause};
use tokio::time::{Instant, timeout};

use crate::outage_log::OutageLog;

/// Time between two looks at the progress.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Time between two log lines about the same wait.
const LOG_INTERVAL: Duration = Duration::from_secs(30);

/// Longest lag behind the furthest table with which a view counts as filled.
const LAG_MAX: Duration = Duration::from_secs(1);
/// Longest wait for that lag once a view does not come nearer any more: events may come as fast as they are projected.
const LAG_WAIT_MAX: Duration = Duration::from_secs(300);

/// Waits until all of these views have reached, in every partition, the furthest position that any table had there at
/// the beginning, and then until they are no more than a second behind it. So a new generation of a view is filled
/// first, and nothing is waited for where nothing was projected.
///
/// While a view is filled, other tables go on, so it is filled in rounds, each to where they were when it began. Each
/// is shorter than the one before, unless events come as fast as they are projected.
///
/// A view that has parked streams in a partition may stand still there until an operator has acted. It is waited for
/// only where another generation of the same view was further, as it was read until now.
pub async fn wait_until_filled<P: ProgressStore>(progress: &P, views: &[ViewId]) {
    let mut waiting = Waiting { progress, views, outage_log: OutageLog::new("progress store") };
    let began_at = Instant::now();
    let targets = waiting.targets().await;
    waiting.until_reached(&targets).await;
    let (mut shortest, mut without_gain) = (began_at.elapsed(), Duration::ZERO);
    while without_gain < LAG_WAIT_MAX {
        let (began_at, targets) = (Instant::now(), waiting.targets().await);
        let is_reached = timeout(shortest.max(LAG_WAIT_MAX), waiting.until_reached(&targets)).await.is_ok();
        let round = began_at.elapsed();
        if is_reached && round <= LAG_MAX {
            return;
        }
        if is_reached && round < shortest {
            (shortest, without_gain) = (round, Duration::ZERO);
        } else {
            without_gain += round;
        }
    }
    tracing::warn!(
        lag_max = ?LAG_MAX,
        "the tables of views are filled, but follow more slowly than other tables: answers may be older than before"
    );
}

/// A wait, with what it needs.
struct Waiting<'a, P> {
    progress: &'a P,
    views: &'a [ViewId],
    outage_log: OutageLog,
}

impl<P: ProgressStore> Waiting<'_, P> {
    /// The positions of all tables now.
    async fn targets(&mut self) -> Targets {
        loop {
            match self.progress.table_positions().await {
                Ok(positions) => return Targets(positions),
                Err(error) => self.outage_log.record_failure(&error),
            }
            pause(POLL_INTERVAL).await;
        }
    }

    async fn until_reached(&mut self, targets: &Targets) {
        let mut limiter = LogLimiter::every(LOG_INTERVAL);
        loop {
            match unfilled(self.progress, self.views, targets).await {
                Ok(unfilled) => {
                    self.outage_log.record_success();
                    let Some(first) = unfilled.first() else { return };
                    if limiter.allow().is_some() {
                        let views = counts(&unfilled);
                        tracing::info!(views, example = %first, "waiting until the tables of views are filled");
                    }
                }
                Err(error) => self.outage_log.record_failure(&error),
            }
            pause(POLL_INTERVAL).await;
        }
    }
}

/// A view that has not reached its target in a partition.
struct Unfilled {
    view: ViewId,
    partition: Partition,
    position: Position,
    target: Position,
}

impl fmt::Display for Unfilled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { view, partition, position, target } = self;
        write!(f, "{view} in partition {partition}: at {position} of {target}")
    }
}

/// The positions of all tables at one time.
struct Targets(Vec<TablePosition>);

impl Targets {
    /// The furthest position in a partition of the tables that are selected.
    fn furthest(&self, partition: Partition, is_selected: impl Fn(&str) -> bool) -> Position {
        let of_partition = self.0.iter().filter(|at| at.partition == partition && is_selected(&at.table));
        of_partition.map(|at| at.position).max().unwrap_or_default()
    }

    /// The position that a view has to reach in a partition.
    fn of(&self, view: ViewId, partition: Partition, has_parked: bool) -> Position {
        self.furthest(partition, |table| !has_parked || is_generation_of(table, view))
    }
}

/// Whether a table is a generation of this view.
fn is_generation_of(table: &str, view: ViewId) -> bool {
    table.rsplit_once("_g").is_some_and(|(name, _)| name == view.name)
}

async fn unfilled<P: ProgressStore>(progress: &P, views: &[ViewId], targets: &Targets) -> PortResult<Vec<Unfilled>> {
    let loaded = progress.load(views).await?;
    let by_view: BTreeMap<_, _> =
        loaded.into_iter().map(|ProgressUpdate { view, partition, progress }| ((view, partition), progress)).collect();
    let mut partitions: Vec<Partition> = targets.0.iter().map(|at| at.partition).collect();
    partitions.sort_unstable();
    partitions.dedup();
    let all = views.iter().flat_map(|view| partitions.iter().map(|partition| (*view, *partition)));
    let unfilled = all.filter_map(|(view, partition)| {
        let reached = by_view.get(&(view, partition));
        let has_parked = reached.is_some_and(|progress| !progress.parked.is_empty());
        let position = reached.map(|progress| progress.position).unwrap_or_default();
        let target = targets.of(view, partition, has_parked);
        (position < target).then_some(Unfilled { view, partition, position, target })
    });
    Ok(unfilled.collect())
}

/// The views that are not filled, each with the number of partitions.
fn counts(unfilled: &[Unfilled]) -> String {
    let mut counts = BTreeMap::<ViewId, usize>::new();
    for Unfilled { view, .. } in unfilled {
        *counts.entry(*view).or_default() += 1;
    }
    let counts: Vec<_> = counts.iter().map(|(view, count)| format!("{view} ({count} partitions)")).collect();
    counts.join(", ")
}
