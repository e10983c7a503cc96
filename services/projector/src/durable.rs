//! Durable storage of a batch: rows first, then the cache, then progress.

use diptych_kernel::{
    Partition,
    domain::{Domain, RowKey, ViewId},
    ports::{CachedRow, EventStore, ProgressStore, ProgressUpdate, RowWrite, ViewCache, ViewStore},
};
use diptych_runtime::{PROGRESS_ANNOUNCEMENTS, encode_progress_announcement, progress_announcement_key};
use futures::future::{join, join_all};
use tokio::time::{Instant, timeout};

use crate::{
    engine::Engine,
    error::Stop,
    partition::{PartitionState, ViewState},
    rows::{RowSlot, WorkingSet},
    stream_versions::STREAM_VERSIONS,
    trace::BatchSpans,
};

/// The maximum number of rows in one call of the read database, so that a slow one answers often enough to show that
/// this member is not hung.
pub(crate) const ROWS_PER_CALL: usize = 500;

impl<D, S, V, P, C> Engine<D, S, V, P, C>
where
    D: Domain,
    S: EventStore,
    V: ViewStore,
    P: ProgressStore,
    C: ViewCache,
{
    /// Reads the rows that are not in memory, table by table.
    pub(crate) async fn read_unknown(&mut self, rows: &mut WorkingSet) -> Result<(), Stop> {
        for (index, table) in self.tables.iter().enumerate() {
            let (slots, keys) = rows.unknown(index);
            if keys.is_empty() {
                continue;
            }
            let mut retry = self.retry("read rows");
            for (slots, keys) in slots.chunks(ROWS_PER_CALL).zip(keys.chunks(ROWS_PER_CALL)) {
                let read = loop {
                    match self.heartbeat.beat_after(self.store.read(table.view, keys)).await {
                        Ok(read) => break read,
                        Err(error) => retry.after(error).await?,
                    }
                };
                for (slot, row) in slots.iter().zip(read) {
                    rows.set_read(*slot, row);
                }
            }
        }
        Ok(())
    }

    /// Stores the rows of events that were applied to the partition as a whole, and its progress.
    pub(crate) async fn store_live(
        &mut self,
        rows: WorkingSet,
        touched: &[Partition],
        spans: &BatchSpans,
    ) -> Result<(), Stop> {
        self.store(rows, touched, true, spans).await
    }

    /// Stores the rows of events that were applied only to some views, and all progress of the partition.
    pub(crate) async fn store_behind(&mut self, rows: WorkingSet, partition: Partition) -> Result<(), Stop> {
        self.store(rows, &[partition], false, &BatchSpans::default()).await
    }

    /// Stores rows, then refreshes the cache. Progress is announced through the cache at once and saved a little later,
    /// together with later progress; without announcements, or after a stream was parked, it is saved at once.
    async fn store(
        &mut self,
        rows: WorkingSet,
        touched: &[Partition],
        is_live: bool,
        spans: &BatchSpans,
    ) -> Result<(), Stop> {
        let writes = rows.writes(&self.tables);
        if !writes.is_empty() {
            // Due progress of earlier batches is saved at the same time.
            let due = self.pending_progress.take_due();
            let (written, saved) = join(self.write_rows(&writes, spans), self.save(&due)).await;
            written.and(saved)?;
        }
        let announced = if self.may_announce(touched) { self.progress_of(touched) } else { Vec::new() };
        let refreshed = self.refresh_cache(&rows, is_live, spans, &announced);
        if announced.is_empty() {
            // Both contain only rows that the read database has acknowledged, and are independent of each other.
            let ((), saved) = join(refreshed, self.save_progress_in_order(touched)).await;
            saved?;
            self.pending_progress.remove(touched);
        } else {
            refreshed.await;
            self.pending_progress.add(announced, self.config.progress_interval);
        }
        rows.keep(&mut self.hot_rows, &self.tables);
        self.record_stored(touched);
        Ok(())
    }

    /// Writes rows, oldest first, and repeats each write until it is acknowledged. Rows are absolute, so it does not
    /// matter which part of a write of unknown outcome was executed, or is executed later.
    pub(crate) async fn write_rows(&self, writes: &[RowWrite], spans: &BatchSpans) -> Result<(), Stop> {
        let traced = spans.begin_write(writes.len(), |index| self.tables.get(index).map(|table| table.view));
        let began_at = Instant::now();
        let mut retry = self.retry("write rows");
        for rows in writes.chunks(ROWS_PER_CALL) {
            while let Err(error) = self.heartbeat.beat_after(self.store.write(rows)).await {
                self.update_ages();
                retry.after(error).await.inspect_err(|_| traced.fail("not_stored"))?;
            }
            retry.succeeded();
        }
        self.metrics.rows_seconds.record(began_at.elapsed());
        self.metrics.rows_written.increment(u64::try_from(writes.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    /// Saves the progress of all views in partitions whose rows are stored.
    pub(crate) async fn save_progress(&mut self, partitions: &[Partition]) -> Result<(), Stop> {
        self.save_progress_in_order(partitions).await?;
        self.pending_progress.remove(partitions);
        self.record_stored(partitions);
        Ok(())
    }

    /// Saves the announced progress that is due.
    pub(crate) async fn save_due(&mut self) -> Result<(), Stop> {
        let due = self.pending_progress.take_due();
        self.save(&due).await
    }

    /// Tries once to save the announced progress before this member releases its partitions. If that fails, their next
    /// owner repeats a few more batches; the group must not wait for a store that is down.
    pub(crate) async fn save_pending(&mut self) {
        let pending = self.pending_progress.take_all();
        if pending.is_empty() {
            return;
        }
        match timeout(self.config.poll_wait_max, self.progress.save(&pending)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(%error, "pending progress was not saved; the next owner repeats its batches");
            }
            Err(_) => tracing::debug!("pending progress was not saved in time; the next owner repeats its batches"),
        }
    }

    /// Whether progress of these partitions may be announced before it is saved. A newly parked stream has to be saved
    /// at once.
    fn may_announce(&self, partitions: &[Partition]) -> bool {
        let mut states = partitions.iter().filter_map(|partition| self.owned.get(partition));
        !self.config.progress_interval.is_zero() && states.all(|state| !state.has_unsaved_parking())
    }

    /// The progress of all views in partitions, and of the partitions as a whole, one partition after the other.
    fn progress_of(&self, partitions: &[Partition]) -> Vec<ProgressUpdate> {
        let mut updates = Vec::new();
        for state in partitions.iter().filter_map(|partition| self.owned.get(partition)) {
            let (own, views) = state.progress();
            let update = |view, progress| ProgressUpdate { view, partition: state.partition, progress };
            updates.extend(self.views.iter().zip(views).map(|(view, progress)| update(view.id(), progress)));
            updates.push(update(STREAM_VERSIONS, own));
        }
        updates
    }

    /// Saves progress. After a stream was parked, the progress of the partition as a whole, which holds the offset to
    /// read the log from, is saved last: so after a partial save the log is read again, and no parked stream is lost.
    async fn save_progress_in_order(&self, partitions: &[Partition]) -> Result<(), Stop> {
        let updates = self.progress_of(partitions);
        let has_unsaved_parking =
            |partition| self.owned.get(partition).is_some_and(PartitionState::has_unsaved_parking);
        if partitions.iter().any(has_unsaved_parking) {
            let (of_partitions, of_views): (Vec<_>, Vec<_>) =
                updates.into_iter().partition(|update| update.view == STREAM_VERSIONS);
            self.save(&of_views).await?;
            self.save(&of_partitions).await
        } else {
            self.save(&updates).await
        }
    }

    /// Everything received of these partitions is in the views, and progress is announced or saved.
    fn record_stored(&mut self, partitions: &[Partition]) {
        for partition in partitions {
            let Some(state) = self.owned.get_mut(partition) else { continue };
            state.record_stored();
            let parked = state.views.iter().map(|view| view.parked.len()).sum();
            self.metrics.set_age(*partition, state.oldest_pending_at());
            self.metrics.set_parked(*partition, parked);
        }
    }

    async fn save(&self, updates: &[ProgressUpdate]) -> Result<(), Stop> {
        if updates.is_empty() {
            return Ok(());
        }
        let began_at = Instant::now();
        let mut retry = self.retry("save progress");
        while let Err(error) = self.heartbeat.beat_after(self.progress.save(updates)).await {
            self.update_ages();
            retry.after(error).await?;
        }
        self.metrics.progress_seconds.record(began_at.elapsed());
        Ok(())
    }

    /// Removes the announcements of partitions that this member takes over. The former owner has saved its progress, or
    /// this member repeats its work. But an announcement may also be left from before the read database was put back to
    /// an older state, and then promises rows that are not there.
    pub(crate) async fn withdraw_announcements(&self, partitions: &[Partition]) {
        if self.config.progress_interval.is_zero() || partitions.is_empty() {
            return;
        }
        let keys: Vec<RowKey> = partitions.iter().map(|partition| self.announcement_key(*partition)).collect();
        if let Err(error) = self.heartbeat.beat_after(self.cache.invalidate(PROGRESS_ANNOUNCEMENTS, &keys)).await {
            self.metrics.cache_failures.increment(1);
            tracing::debug!(%error, "announcements of progress could not be withdrawn");
        }
    }

    /// Refreshes cached rows and announces progress through the cache. Where that fails, a reader may find an older row
    /// there, and detects it by the row's position.
    async fn refresh_cache(&self, rows: &WorkingSet, is_live: bool, spans: &BatchSpans, announced: &[ProgressUpdate]) {
        let began_at = Instant::now();
        let refreshes =
            self.views.iter().enumerate().filter(|(_, view)| view.is_cached()).map(async |(index, view)| {
                let changed = rows.changed().filter(|slot| slot.table == index);
                let cached: Vec<_> = changed.filter_map(|slot| self.cached_row(slot, is_live)).collect();
                if !cached.is_empty() {
                    let traced = spans.begin_refresh(index, view.id(), cached.len());
                    if !self.refresh(view.id(), &cached).await {
                        traced.fail("cache_failed");
                    }
                }
            });
        // The announcement is last: it shares the round trips of the rows and arrives after them, so a reader that
        // received it finds them.
        join(join_all(refreshes), self.announce(announced)).await;
        self.metrics.cache_seconds.record(began_at.elapsed());
    }

    fn announcement_key(&self, partition: Partition) -> RowKey {
        progress_announcement_key(partition, &self.view_set_name)
    }

    /// Announces progress through the cache, in one row per partition.
    async fn announce(&self, updates: &[ProgressUpdate]) {
        let of_partitions = updates.chunk_by(|one, next| one.partition == next.partition);
        let row = |updates: &[ProgressUpdate]| {
            let partition = updates.first()?.partition;
            Some((self.announcement_key(partition), encode_progress_announcement(updates)))
        };
        let rows: Vec<_> = of_partitions.filter_map(row).collect();
        if !rows.is_empty() {
            self.refresh(PROGRESS_ANNOUNCEMENTS, &rows).await;
        }
    }

    /// Refreshes cached rows and returns whether that succeeded.
    async fn refresh(&self, view: ViewId, rows: &[(RowKey, CachedRow)]) -> bool {
        let refreshed = self.heartbeat.beat_after(self.cache.refresh(view, rows)).await;
        if let Err(error) = &refreshed {
            self.metrics.cache_failures.increment(1);
            tracing::debug!(%view, %error, "cached rows could not be refreshed");
        }
        refreshed.is_ok()
    }

    /// A row as it is cached: current up to the partition's mark if no stream is parked in the view, otherwise up to
    /// its own last event.
    fn cached_row(&self, slot: &RowSlot, is_live: bool) -> Option<(RowKey, CachedRow)> {
        let row = slot.row.clone()?;
        let state = self.owned.get(&slot.partition)?;
        let is_complete = is_live && state.views.get(slot.table).is_some_and(ViewState::is_complete);
        let (current_up_to, as_of) = if is_complete && state.mark.position >= row.position {
            (state.mark.position, state.mark.as_of)
        } else {
            (row.position, slot.recorded_at)
        };
        Some((slot.key.clone(), CachedRow { position: row.position, current_up_to, as_of, body: row.body }))
    }
}
