//! Making things durable, in this order: rows, then the cache and progress.

use diptych_kernel::{
    Partition,
    domain::{Domain, RowKey},
    ports::{CachedRow, EventStore, ProgressStore, ProgressUpdate, ViewCache, ViewStore},
};
use futures::future::join;
use tokio::time::Instant;

use crate::{
    engine::Engine,
    error::Stop,
    heads::STREAM_HEADS,
    rows::{Slot, WorkingSet},
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
    /// Reads the rows that memory does not know: one read per table.
    pub(crate) async fn read_unknown(&mut self, rows: &mut WorkingSet) -> Result<(), Stop> {
        for (index, table) in self.tables.iter().enumerate() {
            let (places, keys) = rows.unknown(index);
            if keys.is_empty() {
                continue;
            }
            let mut retry = self.retry("read rows");
            let read = loop {
                match self.store.read(table.view, &keys).await {
                    Ok(read) => break read,
                    Err(error) => retry.after(error).await?,
                }
            };
            for (place, row) in places.into_iter().zip(read) {
                rows.learn(place, row);
            }
        }
        Ok(())
    }

    /// Stores what was made of events that the partition as a whole has taken in, and its progress.
    pub(crate) async fn store_live(
        &mut self,
        rows: WorkingSet,
        touched: &[Partition],
        spans: &BatchSpans,
    ) -> Result<(), Stop> {
        self.store(rows, touched, true, spans).await
    }

    /// Stores what was made of events that some views have taken in by themselves, and all progress of the partition.
    pub(crate) async fn store_behind(&mut self, rows: WorkingSet, partition: Partition) -> Result<(), Stop> {
        self.store(rows, &[partition], false, &BatchSpans::default()).await
    }

    /// The same rows are written until it is acknowledged. They are absolute, so it does not matter how much of a write of unknown effect
    /// has happened, or happens later.
    async fn store(
        &mut self,
        rows: WorkingSet,
        touched: &[Partition],
        live: bool,
        spans: &BatchSpans,
    ) -> Result<(), Stop> {
        let writes = rows.writes(&self.tables);
        if !writes.is_empty() {
            let traced = spans.begin_write(writes.len(), |index| self.tables.get(index).map(|table| table.view));
            let began_at = Instant::now();
            let mut retry = self.retry("write rows");
            while let Err(error) = self.store.write(&writes).await {
                self.show_ages();
                retry.after(error).await.inspect_err(|_| traced.fail("not_stored"))?;
            }
            drop(traced);
            self.metrics.rows_seconds.record(began_at.elapsed());
            self.metrics.rows_written.increment(u64::try_from(writes.len()).unwrap_or(u64::MAX));
        }
        // Both say what the read database has acknowledged, and neither needs the other.
        let ((), saved) = join(self.refresh_cache(&rows, live, spans), self.put_progress(touched)).await;
        saved?;
        rows.keep(&mut self.hot, &self.tables);
        self.note_progress(touched);
        Ok(())
    }

    /// Stores the progress of all views in partitions, whose rows are stored.
    pub(crate) async fn save_progress(&mut self, partitions: &[Partition]) -> Result<(), Stop> {
        self.put_progress(partitions).await?;
        self.note_progress(partitions);
        Ok(())
    }

    /// The progress of a partition as a whole says where the log is read on. Where a stream was parked it is stored last: a view must not
    /// lose that it stands still by a save of which only a part has happened, so until all of that is stored the log is read again.
    async fn put_progress(&self, partitions: &[Partition]) -> Result<(), Stop> {
        let (mut of_partitions, mut of_views) = (Vec::new(), Vec::new());
        let mut has_parked_anew = false;
        for partition in partitions {
            let Some(state) = self.owned.get(partition) else { continue };
            has_parked_anew |= state.has_parked_anew;
            let (own, views) = state.progress();
            let update = |view, progress| ProgressUpdate { view, partition: *partition, progress };
            of_partitions.push(update(STREAM_HEADS, own));
            of_views.extend(self.views.iter().zip(views).map(|(view, progress)| update(view.id(), progress)));
        }
        if has_parked_anew {
            self.save(&of_views).await?;
            self.save(&of_partitions).await
        } else {
            of_views.append(&mut of_partitions);
            self.save(&of_views).await
        }
    }

    /// Everything that was read of these partitions is in the views, and progress says so.
    fn note_progress(&mut self, partitions: &[Partition]) {
        for partition in partitions {
            let Some(state) = self.owned.get_mut(partition) else { continue };
            state.oldest = None;
            state.has_parked_anew = false;
            let parked = state.views.iter().map(|view| view.parked.len()).sum();
            self.metrics.show_age(*partition, state.oldest_undone());
            self.metrics.show_parked(*partition, parked);
        }
    }

    async fn save(&self, updates: &[ProgressUpdate]) -> Result<(), Stop> {
        if updates.is_empty() {
            return Ok(());
        }
        let began_at = Instant::now();
        let mut retry = self.retry("save progress");
        while let Err(error) = self.progress.save(updates).await {
            self.show_ages();
            retry.after(error).await?;
        }
        self.metrics.progress_seconds.record(began_at.elapsed());
        Ok(())
    }

    /// Brings the cache up to date. Where that fails a reader may find an older row there, and sees by its position that it is.
    async fn refresh_cache(&self, rows: &WorkingSet, live: bool, spans: &BatchSpans) {
        let began_at = Instant::now();
        for (index, view) in self.views.iter().enumerate().filter(|(_, view)| view.is_cached()) {
            let changed = rows.changed().filter(|slot| slot.table == index);
            let cached: Vec<_> = changed.filter_map(|slot| self.cached(slot, live)).collect();
            if cached.is_empty() {
                continue;
            }
            let traced = spans.begin_refresh(index, view.id(), cached.len());
            if let Err(error) = self.cache.refresh(view.id(), &cached).await {
                traced.fail("not_taken");
                self.metrics.cache_failures.increment(1);
                tracing::debug!(view = %view.id(), %error, "the cache did not take the rows");
            }
        }
        self.metrics.cache_seconds.record(began_at.elapsed());
    }

    /// A row as the cache keeps it: right up to where the partition is, if nothing in the view stands still; up to its own last event
    /// in any case.
    fn cached(&self, slot: &Slot, live: bool) -> Option<(RowKey, CachedRow)> {
        let row = slot.row.clone()?;
        let state = self.owned.get(&slot.partition)?;
        let is_whole = live && state.views.get(slot.table).is_some_and(|view| view.is_whole());
        let (as_of, as_of_time) = if is_whole && state.live.position >= row.position {
            (state.live.position, state.live.as_of)
        } else {
            (row.position, slot.recorded_at)
        };
        Some((slot.key.clone(), CachedRow { position: row.position, as_of, as_of_time, body: row.body }))
    }
}
