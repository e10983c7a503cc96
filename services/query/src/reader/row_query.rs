//! Queries by key: check cached rows for freshness, wait while the view is behind, read the rest.

use diptych_kernel::{
    Partition, StreamId, Token,
    domain::{RowKey, ViewId},
    ports::{CachedRow, FillLease, ViewCache, ViewStore},
};
use tokio::time::{Instant, timeout_at};

use super::reader_core::{ReaderCore, refuse_parked};
use crate::{
    answer::{ReadAt, ReadAtBuilder},
    cached_rows::{CacheLookup, MissingRow},
    error::{QueryError, RowReadError},
    freshness,
    progress_tracker::ProgressSnapshot,
    progress_wait::ProgressGoal,
};

/// A row that a query requests.
pub(super) struct RequestedRow {
    pub(super) key: RowKey,
    pub(super) partition: Partition,
    /// The stream that the row is made of; `None` if it is made of many streams of the partition.
    pub(super) stream: Option<StreamId>,
}

/// State of one query by key.
struct RowQuery<'a> {
    view: ViewId,
    /// The view's index in the progress tracker.
    view_index: usize,
    requested: &'a [RequestedRow],
    token: &'a Token,
    deadline: Instant,
    /// The answer so far, in the order of `requested`.
    rows: Vec<Option<CachedRow>>,
    /// Leases of keys that this query may fill and has not filled yet, in the order of `requested`.
    leases: Vec<Option<FillLease>>,
}

/// A requested row that the cache did not answer.
struct UnansweredRow {
    /// Index into the requested rows.
    index: usize,
    /// A cached row that satisfies the token but is so old that it should be read again if possible.
    aged_row: Option<CachedRow>,
    missing: MissingRow,
}

impl<V: ViewStore, C: ViewCache> ReaderCore<V, C> {
    /// Returns the requested rows, in order, each at least as fresh as the token.
    pub(super) async fn rows(
        &self,
        view: ViewId,
        requested: &[RequestedRow],
        token: &Token,
        deadline: Instant,
    ) -> Result<(Vec<CachedRow>, ReadAt), QueryError> {
        let (view_index, _) = self.view(view)?;
        let (rows, leases) = (vec![None; requested.len()], vec![None; requested.len()]);
        let mut query = RowQuery { view, view_index, requested, token, deadline, rows, leases };
        match self.answer(&mut query).await {
            Ok(read_at) => Ok((query.rows.into_iter().flatten().collect(), read_at)),
            Err(error) => {
                // Ends the unused leases, so that the next reader does not wait for rows that this query will not fill.
                self.rows.invalidate(view, &query.leased_keys()).await;
                Err(error)
            }
        }
    }

    /// Loops until all rows are answered.
    async fn answer(&self, query: &mut RowQuery<'_>) -> Result<ReadAt, QueryError> {
        loop {
            let (_, snapshot) = self.view(query.view)?;
            query.refuse_parked(&snapshot)?;
            let unanswered = self.answer_from_cache(query, &snapshot).await;
            if unanswered.is_empty() {
                // A stream may have been parked while its row was read.
                let (_, newest) = self.view(query.view)?;
                query.refuse_parked(&newest)?;
                return Ok(query.read_at(&newest));
            }
            match query.unmet_goal(&unanswered, &snapshot) {
                Some(goal) => self.wait(query, goal).await?,
                None => self.fetch(query, unanswered).await?,
            }
        }
    }

    /// Answers rows from the cache where they are fresh. Returns the other rows.
    async fn answer_from_cache(&self, query: &mut RowQuery<'_>, snapshot: &ProgressSnapshot) -> Vec<UnansweredRow> {
        let keys: Vec<RowKey> = query.unanswered().map(|(_, requested)| requested.key.clone()).collect();
        let lookups = if keys.is_empty() { Vec::new() } else { self.rows.lookup(query.view, &keys).await };
        let indexes: Vec<usize> = query.unanswered().map(|(index, _)| index).collect();
        let mut unanswered = Vec::new();
        for ((index, key), lookup) in indexes.into_iter().zip(keys).zip(lookups) {
            let Some(requested) = query.requested.get(index) else { continue };
            let progress = snapshot.progress(query.view_index, requested.partition);
            let mut aged_row = None;
            if let CacheLookup::Hit(row) = &lookup
                && freshness::is_fresh(row, query.token.position(requested.partition))
                && query.row_position_is_conclusive(requested, snapshot)
            {
                let progress_as_of = progress.and_then(|progress| progress.as_of);
                if !freshness::is_aged(row, progress_as_of, self.config.cached_age_max) {
                    self.metrics.cache_hits.increment(1);
                    query.answer_if_fresh(index, row.clone());
                    continue;
                }
                aged_row = Some(row.clone());
            }
            let lookup = query.track_lease(index, lookup);
            let (partition, stream) = (requested.partition, requested.stream.clone());
            unanswered.push(UnansweredRow { index, aged_row, missing: MissingRow { key, partition, stream, lookup } });
        }
        unanswered
    }

    async fn wait(&self, query: &RowQuery<'_>, goal: ProgressGoal) -> Result<(), QueryError> {
        let waited = self.waits.wait_until_reached(goal, query.deadline).await;
        if waited.is_err() {
            // A parked stream is the more specific reason than a view that is behind.
            let (_, snapshot) = self.view(query.view)?;
            query.refuse_parked(&snapshot)?;
        }
        waited
    }

    /// Reads unanswered rows. A row stays unanswered if it comes back too old: it came from the cache, where the reader
    /// that fills the key had put a row that it read before the view reached this position.
    async fn fetch(&self, query: &mut RowQuery<'_>, unanswered: Vec<UnansweredRow>) -> Result<(), QueryError> {
        let (missing, aged_rows): (Vec<_>, Vec<_>) =
            unanswered.into_iter().map(|row| (row.missing, (row.index, row.aged_row))).unzip();
        let fetched = timeout_at(query.deadline, self.rows.fetch(query.view, query.view_index, missing)).await;
        match fetched.unwrap_or(Err(RowReadError::Unavailable)) {
            Ok(rows) => {
                for ((index, _), row) in aged_rows.into_iter().zip(rows) {
                    query.clear_lease(index);
                    query.answer_if_fresh(index, row);
                }
            }
            Err(error) => {
                for (index, aged_row) in aged_rows {
                    query.answer_if_fresh(index, aged_row.ok_or(error)?);
                }
            }
        }
        Ok(())
    }
}

impl RowQuery<'_> {
    fn unanswered(&self) -> impl Iterator<Item = (usize, &RequestedRow)> {
        let requested = self.requested.iter().enumerate();
        requested.zip(&self.rows).filter(|(_, row)| row.is_none()).map(|(requested, _)| requested)
    }

    fn refuse_parked(&self, snapshot: &ProgressSnapshot) -> Result<(), QueryError> {
        self.requested.iter().try_for_each(|requested| {
            let required = self.token.position(requested.partition);
            refuse_parked(snapshot, self.view_index, requested.partition, requested.stream.as_ref(), required)
        })
    }

    /// Returns whether the position of a row alone shows that the row is fresh. The row of a parked stream does not
    /// move, but a row made of many streams moves on without the parked ones, which is known only once progress passed
    /// them.
    fn row_position_is_conclusive(&self, requested: &RequestedRow, snapshot: &ProgressSnapshot) -> bool {
        let required = self.token.position(requested.partition);
        requested.stream.is_some() || snapshot.position(self.view_index, requested.partition) >= required
    }

    /// Returns the first progress that must be reached before a read can satisfy the token.
    fn unmet_goal(&self, unanswered: &[UnansweredRow], snapshot: &ProgressSnapshot) -> Option<ProgressGoal> {
        unanswered.iter().filter(|row| row.aged_row.is_none()).find_map(|row| {
            let partition = row.missing.partition;
            let required = self.token.position(partition);
            let is_behind = snapshot.position(self.view_index, partition) < required;
            let goal = ProgressGoal { view: self.view, view_index: self.view_index, partition, required };
            is_behind.then_some(goal)
        })
    }

    /// Keeps a lease until the row has been read. If the cache then reports that a reader is filling the key, that
    /// reader is this query, and the kept lease is used.
    fn track_lease(&mut self, index: usize, lookup: CacheLookup) -> CacheLookup {
        let Some(kept) = self.leases.get_mut(index) else { return lookup };
        match (lookup, *kept) {
            (CacheLookup::Filling, Some(lease)) => CacheLookup::Miss(lease),
            (lookup, _) => {
                *kept = if let CacheLookup::Miss(lease) = &lookup { Some(*lease) } else { None };
                lookup
            }
        }
    }

    fn clear_lease(&mut self, index: usize) {
        if let Some(lease) = self.leases.get_mut(index) {
            *lease = None;
        }
    }

    fn leased_keys(&self) -> Vec<RowKey> {
        let leased = self.requested.iter().zip(&self.leases).filter(|(_, lease)| lease.is_some());
        leased.map(|(requested, _)| requested.key.clone()).collect()
    }

    fn answer_if_fresh(&mut self, index: usize, row: CachedRow) {
        let (Some(requested), Some(answer)) = (self.requested.get(index), self.rows.get_mut(index)) else { return };
        if freshness::is_fresh(&row, self.token.position(requested.partition)) {
            *answer = Some(row);
        }
    }

    fn read_at(&self, snapshot: &ProgressSnapshot) -> ReadAt {
        let mut read_at = ReadAtBuilder::default();
        for (requested, row) in self.requested.iter().zip(self.rows.iter().flatten()) {
            let progress = snapshot.progress(self.view_index, requested.partition);
            if progress.is_some_and(|progress| progress.is_complete_for(requested.stream.as_ref())) {
                read_at.add(requested.partition, row.current_up_to, freshness::known_as_of(row));
            } else {
                read_at.add_unknown();
            }
        }
        read_at.build()
    }
}
