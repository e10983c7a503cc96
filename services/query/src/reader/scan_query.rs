//! Queries for lists. Lists are read from the read database, as their freshness is the progress of their view, not a
//! position of their own.

use std::sync::Arc;

use diptych_kernel::{
    Partition, Position, StreamId, Token,
    domain::ViewId,
    ports::{ScanPage, ViewCache, ViewStore},
};
use tokio::time::{Instant, timeout_at};

use super::reader_core::{ReaderCore, refuse_parked};
use crate::{
    answer::{Answer, Page, ReadAt, ReadAtBuilder},
    error::{QueryError, RowReadError},
    progress_tracker::ProgressSnapshot,
    progress_wait::ProgressGoal,
};

/// The streams that a list is made of.
#[derive(Clone, Copy)]
pub(super) struct ScanScope<'a> {
    /// `None` if the list is made of events of all partitions.
    pub(super) partition: Option<Partition>,
    /// `None` if the list is made of events of many streams.
    pub(super) stream: Option<&'a StreamId>,
}

/// The view and scope of a list, and its required freshness.
struct ScanQuery<'a> {
    view: ViewId,
    /// The view's index in the progress tracker.
    view_index: usize,
    scope: ScanScope<'a>,
    token: &'a Token,
}

impl<V: ViewStore, C: ViewCache> ReaderCore<V, C> {
    /// Returns up to `limit` rows of a group, after a sort key, at least as fresh as the token.
    #[allow(clippy::too_many_arguments, reason = "those of `Reader::scan`")]
    pub(super) async fn scan(
        &self,
        view: ViewId,
        scope: ScanScope<'_>,
        partition_key: &str,
        after_exclusive: Option<&[u8]>,
        limit: usize,
        token: &Token,
        deadline: Instant,
    ) -> Result<Answer<Page>, QueryError> {
        let (view_index, _) = self.view(view)?;
        let query = ScanQuery { view, view_index, scope, token };
        // The snapshot before the rows: rows read after the view reached a position are current up to that position.
        let snapshot = self.wait_for_token(&query, deadline).await?;
        let scan = self.rows.store().scan(view, partition_key, after_exclusive, limit);
        let page = timeout_at(deadline, scan).await.unwrap_or(Err(RowReadError::Unavailable))?;
        // A stream may have been parked while its rows were read.
        let (_, newest) = self.view(view)?;
        query.refuse_parked(&newest)?;
        let read_at = query.read_at(&snapshot, &page, self.tracker.partitions().iter());
        Ok(Answer { value: to_page(page), read_at })
    }

    /// Returns the first snapshot that satisfies the token.
    async fn wait_for_token(
        &self,
        query: &ScanQuery<'_>,
        deadline: Instant,
    ) -> Result<Arc<ProgressSnapshot>, QueryError> {
        loop {
            let (_, snapshot) = self.view(query.view)?;
            query.refuse_parked(&snapshot)?;
            match query.unmet_goal(&snapshot) {
                Some(goal) => self.waits.wait_until_reached(goal, deadline).await?,
                None => return Ok(snapshot),
            }
        }
    }
}

impl ScanQuery<'_> {
    /// Returns the partitions that the token is checked against, with the positions that it requires.
    fn required(&self) -> impl Iterator<Item = (Partition, Position)> + '_ {
        let one = self.scope.partition.map(|partition| (partition, self.token.position(partition)));
        let all = self.scope.partition.is_none().then(|| self.token.iter());
        one.into_iter().chain(all.into_iter().flatten())
    }

    fn refuse_parked(&self, snapshot: &ProgressSnapshot) -> Result<(), QueryError> {
        self.required().try_for_each(|(partition, required)| {
            refuse_parked(snapshot, self.view_index, partition, self.scope.stream, required)
        })
    }

    fn unmet_goal(&self, snapshot: &ProgressSnapshot) -> Option<ProgressGoal> {
        let mut required = self.required();
        let (partition, required) =
            required.find(|(partition, required)| snapshot.position(self.view_index, *partition) < *required)?;
        Some(ProgressGoal { view: self.view, view_index: self.view_index, partition, required })
    }

    fn read_at(
        &self,
        snapshot: &ProgressSnapshot,
        page: &ScanPage,
        all_partitions: impl Iterator<Item = Partition>,
    ) -> ReadAt {
        let mut read_at = ReadAtBuilder::default();
        match self.scope.partition {
            Some(partition) => {
                // Rows may be ahead of the progress, and a caller that saw them must see them again.
                let newest = page.rows.iter().map(|(_, row)| row.position).max().unwrap_or_default();
                match snapshot.progress(self.view_index, partition) {
                    Some(progress) if progress.is_complete_for(self.scope.stream) => {
                        read_at.add(partition, progress.position.max(newest), progress.as_of);
                    }
                    _ => read_at.add_unknown(),
                }
            }
            None => {
                all_partitions.for_each(|partition| read_at.add_partition(snapshot, self.view_index, partition));
            }
        }
        read_at.build()
    }
}

fn to_page(page: ScanPage) -> Page {
    let rows = page.rows.into_iter().filter_map(|(sort_key, row)| Some((sort_key, row.body?))).collect();
    Page { rows, more: page.more }
}
