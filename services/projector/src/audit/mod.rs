//! The audit: replays every event and compares every row of every view with what is stored.
//!
//! A row is correct when it equals the fold of its events up to exactly its position, and when that position is the one
//! required by the view's progress, or a later one. So the audit may run while the system does: a row that was updated
//! since progress was read is compared with the fold up to its current position.
//!
//! Memory: the rows of one partition of one replay at a time, and 16 bytes for every row of all views.

mod extra;
mod partition;
mod replay;
mod report;

use std::collections::HashMap;

use diptych_kernel::{
    Partition,
    domain::{Domain, View, ViewId},
    ports::{EventStore, PortResult, Progress, ProgressStore, ViewStore},
};

pub use report::{AuditReport, Difference, Finding, ViewCount};

/// The number of events per read.
const READ_EVENTS: usize = 2_000;

/// The number of rows per read.
const READ_ROWS: usize = 500;

/// The maximum number of replays of a partition with differences while its progress changes.
const ATTEMPTS_MAX: usize = 3;

/// Replays all events and compares all rows. At most `differences_max` differences are kept in detail; all are counted.
///
/// # Errors
/// When a store cannot be read. Differences are part of the report, not errors.
pub async fn audit<D, S, V, P>(events: &S, views: &V, progress: &P, differences_max: usize) -> PortResult<AuditReport>
where
    D: Domain,
    S: EventStore,
    V: ViewStore,
    P: ProgressStore,
{
    let audit = Audit { events, views, progress, folds: D::views(), domain: std::marker::PhantomData::<fn() -> D> };
    let mut report = AuditReport::new(differences_max);
    for partition in events.partitions().iter() {
        audit.partition(partition, &mut report).await?;
    }
    for fold in &audit.folds {
        audit.extra_rows(fold.as_ref(), &mut report).await?;
    }
    Ok(report)
}

struct Audit<'a, D: Domain, S, V, P> {
    events: &'a S,
    views: &'a V,
    progress: &'a P,
    folds: Vec<Box<dyn View<D::Event>>>,
    domain: std::marker::PhantomData<fn() -> D>,
}

impl<D: Domain, S: EventStore, V: ViewStore, P: ProgressStore> Audit<'_, D, S, V, P> {
    fn ids(&self) -> Vec<ViewId> {
        self.folds.iter().map(|fold| fold.id()).collect()
    }

    /// The progress of every view in a partition; that of a view without saved progress is at the start.
    async fn progress_of(&self, partition: Partition) -> PortResult<HashMap<ViewId, Progress>> {
        let updates = self.progress.load(&self.ids()).await?;
        let mut all: HashMap<_, _> = self.ids().into_iter().map(|id| (id, Progress::default())).collect();
        all.extend(updates.into_iter().filter(|update| update.partition == partition).map(|u| (u.view, u.progress)));
        Ok(all)
    }
}
