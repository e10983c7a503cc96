//! In-memory view and progress store and its mutants.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;

use super::{InMemoryTestEnv, assert_caught};
use crate::{
    domain::{RowKey, ViewId},
    ports::{
        PortResult, Progress, ProgressStore, ProgressUpdate, Row, RowWrite, ScanPage, TablePosition, TableReader,
        ViewStore,
    },
    testing::{
        FaultyTestEnv, ManualClock, block_on,
        faulty::{FaultInjector, FaultyViewStore},
        progress, view_store, with_seed, yield_now,
    },
    vocabulary::{Clock, Partition, Position},
};

/// The rule that a mutant breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutation {
    None,
    /// Accepts writes without comparing positions.
    LastWriteWins,
    /// Writes the rows of a batch one by one, in the order of the batch.
    WritesInOrderOfBatch,
    /// A deleted row does not keep its position.
    DeleteForgetsPosition,
    /// Scans return deleted rows.
    ScansDeleted,
    /// Every full page reports more rows.
    ReportsMoreForFullPage,
    /// Applies the limit before it drops deleted rows, so that a page of deleted rows looks like the end.
    EndsScanAtDeletedPage,
    /// A page starts with the last row of the previous one.
    AfterIsInclusive,
    /// `scan_all` leaves out deleted rows.
    ScanAllSkipsDeleted,
    /// Progress can move back.
    MovesProgressBack,
    /// Merges two saves: keeps the larger time and offset of both.
    MixesSaves,
    /// A save at the same position does not replace the list of parked streams.
    KeepsParkedAtSamePosition,
    /// Stores the progress of all partitions as one.
    MixesPartitions,
    /// Lists the position of one table for each partition.
    ForgetsTables,
    /// Readers stay until they are removed.
    NeverExpires,
    /// A reader that is added again keeps its first time to live.
    DoesNotRenew,
    /// Removes the readers of all views with a process.
    RemovesAllViews,
    /// Removes the readers of a view with all processes.
    RemovesAllInstances,
}

struct MutantViewStore {
    mutation: Mutation,
    rows: Mutex<HashMap<ViewId, BTreeMap<RowKey, Row>>>,
    progress: Mutex<BTreeMap<(ViewId, Partition), Progress>>,
    readers: Mutex<BTreeMap<TableReader, Duration>>,
    clock: Arc<ManualClock>,
}

impl MutantViewStore {
    fn new(mutation: Mutation, clock: Arc<ManualClock>) -> Self {
        Self { mutation, rows: Mutex::default(), progress: Mutex::default(), readers: Mutex::default(), clock }
    }

    fn rows_after(&self, view: ViewId, after: Option<&RowKey>) -> Vec<(RowKey, Row)> {
        let from = match after {
            Some(after) if self.mutation == Mutation::AfterIsInclusive => Bound::Included(after),
            Some(after) => Bound::Excluded(after),
            None => Bound::Unbounded,
        };
        let rows = self.rows.lock();
        rows[&view].range((from, Bound::Unbounded)).map(|(key, row)| (key.clone(), row.clone())).collect()
    }
}

impl ViewStore for MutantViewStore {
    async fn ensure_views(&self, views: &[ViewId]) -> PortResult<()> {
        for view in views {
            self.rows.lock().entry(*view).or_default();
        }
        Ok(())
    }

    async fn write(&self, rows: &[RowWrite]) -> PortResult<()> {
        for RowWrite { view, key, row } in rows {
            if self.mutation == Mutation::WritesInOrderOfBatch {
                yield_now().await;
            }
            let mut tables = self.rows.lock();
            let table = tables.get_mut(view).unwrap();
            let is_newer = table.get(key).is_none_or(|kept| row.position > kept.position);
            if !is_newer && self.mutation != Mutation::LastWriteWins {
                continue;
            }
            if row.body.is_none() && self.mutation == Mutation::DeleteForgetsPosition {
                table.remove(key);
            } else {
                table.insert(key.clone(), row.clone());
            }
        }
        Ok(())
    }

    async fn read(&self, view: ViewId, keys: &[RowKey]) -> PortResult<Vec<Option<Row>>> {
        let tables = self.rows.lock();
        Ok(keys.iter().map(|key| tables[&view].get(key).cloned()).collect())
    }

    async fn scan(
        &self,
        view: ViewId,
        partition_key: &str,
        after_exclusive: Option<&[u8]>,
        limit: usize,
    ) -> PortResult<ScanPage> {
        let after = after_exclusive.map(|sort_key| RowKey::new(partition_key, Bytes::copy_from_slice(sort_key)));
        let mut rows = self.rows_after(view, after.as_ref());
        rows.retain(|(key, _)| &*key.partition_key == partition_key);
        if self.mutation == Mutation::EndsScanAtDeletedPage {
            rows.truncate(limit + 1);
        }
        rows.retain(|(_, row)| row.body.is_some() || self.mutation == Mutation::ScansDeleted);
        let more = rows.len() > limit || (rows.len() == limit && self.mutation == Mutation::ReportsMoreForFullPage);
        rows.truncate(limit);
        Ok(ScanPage { rows: rows.into_iter().map(|(key, row)| (key.sort_key, row)).collect(), more })
    }

    async fn scan_all(
        &self,
        view: ViewId,
        after_exclusive: Option<&RowKey>,
        limit: usize,
    ) -> PortResult<Vec<(RowKey, Row)>> {
        let mut rows = self.rows_after(view, after_exclusive);
        rows.retain(|(_, row)| row.body.is_some() || self.mutation != Mutation::ScanAllSkipsDeleted);
        rows.truncate(limit);
        Ok(rows)
    }
}

impl ProgressStore for MutantViewStore {
    async fn save(&self, updates: &[ProgressUpdate]) -> PortResult<()> {
        let mut all = self.progress.lock();
        for ProgressUpdate { view, partition, progress } in updates {
            let partition = if self.mutation == Mutation::MixesPartitions { Partition::new(0) } else { *partition };
            let kept = all.entry((*view, partition)).or_insert_with(|| progress.clone());
            if progress.position < kept.position && self.mutation != Mutation::MovesProgressBack {
                continue;
            }
            let mut new = progress.clone();
            if self.mutation == Mutation::MixesSaves {
                new.as_of = new.as_of.max(kept.as_of);
                new.next_offset = new.next_offset.max(kept.next_offset);
            }
            if self.mutation == Mutation::KeepsParkedAtSamePosition && new.position == kept.position {
                new.parked.clone_from(&kept.parked);
            }
            *kept = new;
        }
        Ok(())
    }

    async fn load(&self, views: &[ViewId]) -> PortResult<Vec<ProgressUpdate>> {
        let all = self.progress.lock();
        let wanted = all.iter().filter(|((view, _), _)| views.contains(view));
        let update = |((view, partition), progress): (&(ViewId, Partition), &Progress)| ProgressUpdate {
            view: *view,
            partition: *partition,
            progress: progress.clone(),
        };
        Ok(wanted.map(update).collect())
    }

    async fn table_positions(&self) -> PortResult<Vec<TablePosition>> {
        let all = self.progress.lock();
        let position = |((view, partition), progress): (&(ViewId, Partition), &Progress)| TablePosition {
            table: view.to_string(),
            partition: *partition,
            position: progress.position,
        };
        let mut positions: Vec<_> = all.iter().map(position).collect();
        if self.mutation == Mutation::ForgetsTables {
            positions.dedup_by_key(|position| position.partition);
        }
        Ok(positions)
    }

    async fn add_reader(&self, instance: &str, views: &[ViewId], time_to_live: Duration) -> PortResult<()> {
        let expires_at = self.clock.monotonic() + time_to_live;
        let mut readers = self.readers.lock();
        for view in views {
            let reader = TableReader { table: view.to_string(), instance: instance.to_owned() };
            let kept = readers.entry(reader).or_insert(expires_at);
            if self.mutation != Mutation::DoesNotRenew {
                *kept = expires_at;
            }
        }
        Ok(())
    }

    async fn remove_reader(&self, instance: &str, views: &[ViewId]) -> PortResult<()> {
        self.readers.lock().retain(|reader, _| {
            let is_instance = reader.instance == instance || self.mutation == Mutation::RemovesAllInstances;
            let is_view = views.iter().any(|view| view.to_string() == reader.table);
            !(is_instance && (is_view || self.mutation == Mutation::RemovesAllViews))
        });
        Ok(())
    }

    async fn readers(&self) -> PortResult<Vec<TableReader>> {
        let now = self.clock.monotonic();
        let readers = self.readers.lock();
        let is_listed = |expires_at: Duration| now < expires_at || self.mutation == Mutation::NeverExpires;
        Ok(readers.iter().filter(|(_, expires_at)| is_listed(**expires_at)).map(|(reader, _)| reader.clone()).collect())
    }

    async fn wait_for_change(&self, _: &mut u64, _: Duration) {}
}

#[test]
fn the_correct_view_store_passes() {
    block_on(view_store::suite(&InMemoryTestEnv::new(|clock| MutantViewStore::new(Mutation::None, clock)), 1));
    block_on(progress::suite(&InMemoryTestEnv::new(|clock| MutantViewStore::new(Mutation::None, clock)), 1));
}

#[test]
fn the_correct_view_store_passes_with_faults() {
    for seed in 0..20 {
        let env = InMemoryTestEnv::new(|clock| MutantViewStore::new(Mutation::None, clock));
        let env = FaultyTestEnv::new(&env, FaultInjector::new(seed, 0.2), FaultyViewStore::new);
        block_on(with_seed(seed, view_store::suite(&env, seed)));
        block_on(with_seed(seed, progress::suite(&env, seed)));
    }
}

/// Checks the fault injector itself: an unreported write stores only some rows, at once or later.
#[test]
fn an_unreported_write_can_be_partial_or_late() {
    let view = ViewId { name: "part", generation: 1 };
    let (mut in_part, mut late) = (0, 0);
    for seed in 0..200 {
        let (store, faults) =
            (Arc::new(MutantViewStore::new(Mutation::None, Arc::default())), FaultInjector::new(seed, 1.0));
        let faulty = FaultyViewStore::new(Arc::clone(&store), faults.clone());
        block_on(store.ensure_views(&[view])).unwrap();
        let row = Row { position: Position::START.plus(1), body: Some(Bytes::new()) };
        let rows: Vec<_> =
            ["a", "b", "c", "d"].map(|key| RowWrite { view, key: RowKey::single(key), row: row.clone() }).into();
        block_on(faulty.write(&rows)).unwrap_err();
        let count = store.rows.lock()[&view].len();
        faults.disable();
        block_on(faulty.write(&[])).unwrap();
        in_part += u32::from((1..4).contains(&count));
        late += u32::from(store.rows.lock()[&view].len() > count);
    }
    assert!(in_part > 10 && late > 10, "{in_part} in part, {late} late");
}

#[test]
fn every_view_store_mutant_is_caught() {
    let mutations = [
        Mutation::LastWriteWins,
        Mutation::WritesInOrderOfBatch,
        Mutation::DeleteForgetsPosition,
        Mutation::ScansDeleted,
        Mutation::ReportsMoreForFullPage,
        Mutation::EndsScanAtDeletedPage,
        Mutation::AfterIsInclusive,
        Mutation::ScanAllSkipsDeleted,
    ];
    for mutation in mutations {
        let suite = |env, seed| async move { view_store::suite(&env, seed).await };
        assert_caught(mutation, |clock| MutantViewStore::new(mutation, clock), suite);
    }
}

#[test]
fn every_progress_mutant_is_caught() {
    for mutation in [
        Mutation::MovesProgressBack,
        Mutation::MixesSaves,
        Mutation::KeepsParkedAtSamePosition,
        Mutation::MixesPartitions,
        Mutation::ForgetsTables,
        Mutation::NeverExpires,
        Mutation::DoesNotRenew,
        Mutation::RemovesAllViews,
        Mutation::RemovesAllInstances,
    ] {
        let suite = |env, seed| async move { progress::suite(&env, seed).await };
        assert_caught(mutation, |clock| MutantViewStore::new(mutation, clock), suite);
    }
}
