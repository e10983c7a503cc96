//! Rebuild of a partition's rows of a view.
//!
//! A view over many streams mixes their events in a row. When such a view turns out to have missed an event after it
//! has folded later ones of other streams, folding cannot repair the row: all rows of this partition are folded again
//! in memory, from the first event on. Rows that then differ from the stored ones are written at a position larger than
//! the stored one, as a row never goes back (G7): at that of the row's own last event where it is larger, otherwise at
//! the last position of the partition.

use diptych_kernel::{
    Partition, Position,
    domain::{Domain, RowKey},
    ports::{EventStore, ProgressStore, RowWrite, ViewCache, ViewStore},
};

use crate::{
    durable::ROWS_PER_CALL,
    engine::Engine,
    error::Stop,
    partition::{ParkedAt, PartitionState, ViewStatus},
    rebuilt_rows::{RebuiltRows, Replacement, replacement},
    trace::BatchSpans,
};

impl<D, S, V, P, C> Engine<D, S, V, P, C>
where
    D: Domain,
    S: EventStore,
    V: ViewStore,
    P: ProgressStore,
    C: ViewCache,
{
    /// Folds the next events of the partition; at the end stores the rows that differ, and makes the view live again.
    pub(crate) async fn rebuild_rows(&mut self, partition: Partition, index: usize) -> Result<(), Stop> {
        let Some(after) = self.owned.get(&partition).and_then(|state| state.rebuilt_up_to(index)) else {
            return Ok(());
        };
        let Some(tail) = self.read_tail(partition, after).await? else { return Ok(()) };
        let Some((state, view)) = self.owned.get_mut(&partition).zip(self.views.get(index)) else { return Ok(()) };
        let end = state.mark.position;
        let is_end = tail.events.len() < self.config.catch_up_events_max.max(1) || tail.complete_up_to >= end;
        let Some(ViewStatus::Rebuilding(rebuilt)) = state.views.get_mut(index).map(|view| &mut view.status) else {
            return Ok(());
        };
        for record in tail.events.iter().filter(|record| record.position <= end) {
            if let Err(reason) = rebuilt.fold::<D>(view.as_ref(), record) {
                // The streams that caused the rebuild stay parked too, so that the next retry is a rebuild again.
                state.park(index, &record.stream_id, ParkedAt { version: record.version, reason });
                return self.save_progress(&[partition]).await;
            }
        }
        if is_end { self.finish_rebuild(partition, index).await } else { Ok(()) }
    }

    async fn finish_rebuild(&mut self, partition: Partition, index: usize) -> Result<(), Stop> {
        let Some(state) = self.owned.get_mut(&partition) else { return Ok(()) };
        let mark = state.mark;
        let Some(view_state) = state.views.get_mut(index) else { return Ok(()) };
        let view = view_state.id;
        let Some(rebuilt) = view_state.take_rebuilt_rows() else { return Ok(()) };
        let Some(writes) = self.rows_to_replace(index, rebuilt, mark.position).await? else {
            let partition = partition.number();
            tracing::info!(%view, partition, "rebuilt rows cannot be written yet: the partition has to advance first");
            return Ok(());
        };
        if !writes.is_empty() {
            self.write_rows(&writes, &BatchSpans::default()).await?;
            self.evict_rebuilt_rows(partition, index, &writes).await;
        }
        if let Some(view_state) = self.owned.get_mut(&partition).and_then(|state| state.views.get_mut(index)) {
            view_state.parked.clear();
            view_state.become_live(mark);
        }
        let (partition_number, rows) = (partition.number(), writes.len());
        tracing::info!(%view, partition = partition_number, rows, "the rows of a view were rebuilt");
        self.save_progress(&[partition]).await
    }

    /// The rows that differ from the stored ones; `None` where one of them cannot be replaced yet.
    async fn rows_to_replace(
        &self,
        index: usize,
        rebuilt: RebuiltRows,
        end: Position,
    ) -> Result<Option<Vec<RowWrite>>, Stop> {
        let Some(view) = self.tables.get(index).map(|table| table.view) else { return Ok(None) };
        let keys: Vec<RowKey> = rebuilt.rows.keys().cloned().collect();
        let mut writes = Vec::new();
        for keys in keys.chunks(ROWS_PER_CALL) {
            let mut retry = self.retry("read rows");
            let stored = loop {
                match self.heartbeat.beat_after(self.store.read(view, keys)).await {
                    Ok(stored) => break stored,
                    Err(error) => retry.after(error).await?,
                }
            };
            for (key, stored) in keys.iter().zip(stored) {
                let Some(row) = rebuilt.rows.get(key) else { continue };
                match replacement(row, stored.as_ref(), [rebuilt.up_to, end]) {
                    Replacement::NotNeeded => {}
                    Replacement::Write(row) => writes.push(RowWrite { view, key: key.clone(), row }),
                    Replacement::NotYet => return Ok(None),
                }
            }
        }
        writes.sort_by_key(|write| write.row.position);
        Ok(Some(writes))
    }

    /// Removes the old rows from memory and from the cache.
    async fn evict_rebuilt_rows(&mut self, partition: Partition, index: usize, writes: &[RowWrite]) {
        self.hot_rows.evict(&[partition]);
        let Some(view) = self.views.get(index).map(|view| view.id()) else { return };
        let keys: Vec<RowKey> = writes.iter().map(|write| write.key.clone()).collect();
        if let Err(error) = self.heartbeat.beat_after(self.cache.invalidate(view, &keys)).await {
            self.metrics.cache_failures.increment(1);
            tracing::debug!(%view, %error, "cached rows could not be invalidated");
        }
    }
}

impl PartitionState {
    fn rebuilt_up_to(&self, view: usize) -> Option<Position> {
        match &self.views.get(view)?.status {
            ViewStatus::Rebuilding(rebuilt) => Some(rebuilt.up_to),
            _ => None,
        }
    }
}
