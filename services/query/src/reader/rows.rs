//! Reading rows by key: judge what the cache has, wait where the view is behind, read the rest.

use diptych_kernel::{
    Token,
    domain::{RowKey, ViewId},
    ports::{CachedRow, FillLease, ViewCache, ViewStore},
};
use tokio::time::{Instant, timeout_at};

use super::{Goal, ReadAt, ReadAtBuilder, Shared, Snapshot, Wanted, freshness, refuse_parked};
use crate::{
    cached::{Found, Missing},
    error::{QueryError, Trouble},
};

/// One call for rows.
struct Call<'a> {
    view: ViewId,
    /// Its number on the board.
    view_number: usize,
    wanted: &'a [Wanted],
    token: &'a Token,
    deadline: Instant,
    /// What is answered so far.
    rows: Vec<Option<CachedRow>>,
    /// What the cache has given this call leave to fill, and it has not.
    leases: Vec<Option<FillLease>>,
}

/// A row that the cache did not give.
struct Open {
    /// Which of the wanted rows.
    index: usize,
    /// A cached row that satisfies the token, but should be read again if that can be done.
    spare: Option<CachedRow>,
    missing: Missing,
}

impl<V: ViewStore, C: ViewCache> Shared<V, C> {
    /// The rows that are wanted, in order, each at least as fresh as the token.
    pub(super) async fn rows(
        &self,
        view: ViewId,
        wanted: &[Wanted],
        token: &Token,
        deadline: Instant,
    ) -> Result<(Vec<CachedRow>, ReadAt), QueryError> {
        let (view_number, _) = self.view(view)?;
        let (rows, leases) = (vec![None; wanted.len()], vec![None; wanted.len()]);
        let mut call = Call { view, view_number, wanted, token, deadline, rows, leases };
        match self.answer(&mut call).await {
            Ok(read_at) => Ok((call.rows.into_iter().flatten().collect(), read_at)),
            Err(error) => {
                // So that the next reader need not wait for a row that nobody brings.
                self.rows.forget(view, &call.leased_keys()).await;
                Err(error)
            }
        }
    }

    /// Ends when all rows are there.
    async fn answer(&self, call: &mut Call<'_>) -> Result<ReadAt, QueryError> {
        loop {
            let (_, snapshot) = self.view(call.view)?;
            call.refuse_parked(&snapshot)?;
            let open = self.look(call, &snapshot).await;
            if open.is_empty() {
                // A stream may have been parked while its row was read.
                let (_, newest) = self.view(call.view)?;
                call.refuse_parked(&newest)?;
                return Ok(call.read_at(&newest));
            }
            match call.behind(&open, &snapshot) {
                Some(goal) => self.wait(call, goal).await?,
                None => self.fetch(call, open).await?,
            }
        }
    }

    /// Takes from the cache what is fresh. Returns the rest.
    async fn look(&self, call: &mut Call<'_>, snapshot: &Snapshot) -> Vec<Open> {
        let keys: Vec<RowKey> = call.unanswered().map(|(_, wanted)| wanted.key.clone()).collect();
        let found = if keys.is_empty() { Vec::new() } else { self.rows.look(call.view, &keys).await };
        let unanswered: Vec<usize> = call.unanswered().map(|(index, _)| index).collect();
        let mut open = Vec::new();
        for ((index, key), found) in unanswered.into_iter().zip(keys).zip(found) {
            let Some(wanted) = call.wanted.get(index) else { continue };
            let slot = snapshot.slot(call.view_number, wanted.partition);
            let mut spare = None;
            if let Found::Row(row) = &found
                && freshness::is_fresh(row, call.token.position(wanted.partition))
                && call.may_judge(wanted, snapshot)
            {
                if !freshness::is_aged(row, slot.and_then(|slot| slot.as_of), self.config.cached_age_max) {
                    self.metrics.cache_hits.increment(1);
                    call.answer_if_fresh(index, row.clone());
                    continue;
                }
                spare = Some(row.clone());
            }
            let found = call.remember_lease(index, found);
            let missing = Missing { key, partition: wanted.partition, stream: wanted.stream.clone(), found };
            open.push(Open { index, spare, missing });
        }
        open
    }

    async fn wait(&self, call: &Call<'_>, goal: Goal) -> Result<(), QueryError> {
        let waited = self.waits.until_reached(goal, call.deadline).await;
        if waited.is_err() {
            // To hear that the stream is parked says more than that the view is behind.
            let (_, snapshot) = self.view(call.view)?;
            call.refuse_parked(&snapshot)?;
        }
        waited
    }

    /// Reads what is open. What comes back too old, because the read was begun by another call before the view had got here, stays open.
    async fn fetch(&self, call: &mut Call<'_>, open: Vec<Open>) -> Result<(), QueryError> {
        let (missing, places): (Vec<_>, Vec<_>) =
            open.into_iter().map(|Open { index, spare, missing }| (missing, (index, spare))).unzip();
        let fetched = timeout_at(call.deadline, self.rows.fetch(call.view, call.view_number, missing)).await;
        match fetched.unwrap_or(Err(Trouble::Unavailable)) {
            Ok(rows) => {
                for ((index, _), row) in places.into_iter().zip(rows) {
                    call.lease_is_used(index);
                    call.answer_if_fresh(index, row);
                }
                Ok(())
            }
            Err(trouble) => {
                for (index, spare) in places {
                    call.answer_if_fresh(index, spare.ok_or(trouble)?);
                }
                Ok(())
            }
        }
    }
}

impl Call<'_> {
    fn unanswered(&self) -> impl Iterator<Item = (usize, &Wanted)> {
        let wanted = self.wanted.iter().enumerate();
        wanted.zip(&self.rows).filter(|(_, row)| row.is_none()).map(|(wanted, _)| wanted)
    }

    fn refuse_parked(&self, snapshot: &Snapshot) -> Result<(), QueryError> {
        self.wanted.iter().try_for_each(|wanted| {
            let required = self.token.position(wanted.partition);
            refuse_parked(snapshot, self.view_number, wanted.partition, wanted.stream.as_ref(), required)
        })
    }

    /// Whether a row may be judged by how far it says it is right. The row of a parked stream stands still, but one that many streams share moves
    /// on without the parked ones; that is known only once progress has passed them.
    fn may_judge(&self, wanted: &Wanted, snapshot: &Snapshot) -> bool {
        let required = self.token.position(wanted.partition);
        wanted.stream.is_some() || snapshot.position(self.view_number, wanted.partition) >= required
    }

    /// What must be waited for before it makes sense to read.
    fn behind(&self, open: &[Open], snapshot: &Snapshot) -> Option<Goal> {
        open.iter().filter(|open| open.spare.is_none()).find_map(|open| {
            let partition = open.missing.partition;
            let required = self.token.position(partition);
            let is_behind = snapshot.position(self.view_number, partition) < required;
            is_behind.then_some(Goal { view: self.view, view_number: self.view_number, partition, required })
        })
    }

    /// Keeps a lease for when the row is read, and takes it up where the cache says that somebody is filling the key: that is this call.
    fn remember_lease(&mut self, index: usize, found: Found) -> Found {
        let Some(place) = self.leases.get_mut(index) else { return found };
        match (found, *place) {
            (Found::Filling, Some(lease)) => Found::Lease(lease),
            (found, _) => {
                *place = if let Found::Lease(lease) = &found { Some(*lease) } else { None };
                found
            }
        }
    }

    fn lease_is_used(&mut self, index: usize) {
        if let Some(place) = self.leases.get_mut(index) {
            *place = None;
        }
    }

    fn leased_keys(&self) -> Vec<RowKey> {
        let leased = self.wanted.iter().zip(&self.leases).filter(|(_, lease)| lease.is_some());
        leased.map(|(wanted, _)| wanted.key.clone()).collect()
    }

    fn answer_if_fresh(&mut self, index: usize, row: CachedRow) {
        let (Some(wanted), Some(place)) = (self.wanted.get(index), self.rows.get_mut(index)) else { return };
        if freshness::is_fresh(&row, self.token.position(wanted.partition)) {
            *place = Some(row);
        }
    }

    fn read_at(&self, snapshot: &Snapshot) -> ReadAt {
        let mut read_at = ReadAtBuilder::default();
        for (wanted, row) in self.wanted.iter().zip(self.rows.iter().flatten()) {
            let slot = snapshot.slot(self.view_number, wanted.partition);
            if slot.is_some_and(|slot| slot.is_whole(wanted.stream.as_ref())) {
                read_at.add(wanted.partition, freshness::right_up_to(row), freshness::time_of(row));
            } else {
                read_at.add_unknown();
            }
        }
        read_at.build()
    }
}
