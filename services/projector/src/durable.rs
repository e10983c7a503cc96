//! Making things durable, in this order: rows, then the cache, then progress.

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

    /// Rows, then the cache. Progress is told through the cache at once and saved a little later, with what comes meanwhile; where nobody is told,
    /// or a stream was parked, it is saved at once.
    async fn store(
        &mut self,
        rows: WorkingSet,
        touched: &[Partition],
        live: bool,
        spans: &BatchSpans,
    ) -> Result<(), Stop> {
        let writes = rows.writes(&self.tables);
        if !writes.is_empty() {
            // What is due of batches before this one does not hold it up.
            let due = self.unsaved.take_due();
            let (written, saved) = join(self.write_rows(&writes, spans), self.save(&due)).await;
            written.and(saved)?;
        }
        let news = if self.tells(touched) { self.progress_of(touched) } else { Vec::new() };
        let refreshed = self.refresh_cache(&rows, live, spans, &news);
        if news.is_empty() {
            // Both say what the read database has acknowledged, and neither needs the other.
            let ((), saved) = join(refreshed, self.put_progress(touched)).await;
            saved?;
            self.unsaved.forget(touched);
        } else {
            refreshed.await;
            self.unsaved.add(news, self.config.progress_interval);
        }
        rows.keep(&mut self.hot, &self.tables);
        self.note_progress(touched);
        Ok(())
    }

    /// The same rows are written until it is acknowledged. They are absolute, so it does not matter how much of a write of unknown effect
    /// has happened, or happens later.
    async fn write_rows(&self, writes: &[RowWrite], spans: &BatchSpans) -> Result<(), Stop> {
        let traced = spans.begin_write(writes.len(), |index| self.tables.get(index).map(|table| table.view));
        let began_at = Instant::now();
        let mut retry = self.retry("write rows");
        while let Err(error) = self.store.write(writes).await {
            self.show_ages();
            retry.after(error).await.inspect_err(|_| traced.fail("not_stored"))?;
        }
        self.metrics.rows_seconds.record(began_at.elapsed());
        self.metrics.rows_written.increment(u64::try_from(writes.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    /// Stores the progress of all views in partitions, whose rows are stored.
    pub(crate) async fn save_progress(&mut self, partitions: &[Partition]) -> Result<(), Stop> {
        self.put_progress(partitions).await?;
        self.unsaved.forget(partitions);
        self.note_progress(partitions);
        Ok(())
    }

    /// Saves the progress that was only told, if it is time to.
    pub(crate) async fn save_due(&mut self) -> Result<(), Stop> {
        let due = self.unsaved.take_due();
        self.save(&due).await
    }

    /// Tries to save the progress that was only told, before this member lets its partitions go. Once: without it their next owner repeats a few
    /// batches more, and the group must not wait for a store that is away.
    pub(crate) async fn save_rest(&mut self) {
        let rest = self.unsaved.take_all();
        if rest.is_empty() {
            return;
        }
        match timeout(self.config.poll_wait_max, self.progress.save(&rest)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the last progress was not saved"),
            Err(_) => tracing::debug!("the last progress was not saved in time"),
        }
    }

    /// Whether progress of these partitions can be told first. That a stream was parked is saved at once.
    fn tells(&self, partitions: &[Partition]) -> bool {
        let mut states = partitions.iter().filter_map(|partition| self.owned.get(partition));
        !self.config.progress_interval.is_zero() && states.all(|state| !state.has_parked_anew)
    }

    /// The progress of all views in partitions, and of the partitions as a whole, one partition after the other.
    fn progress_of(&self, partitions: &[Partition]) -> Vec<ProgressUpdate> {
        let mut updates = Vec::new();
        for state in partitions.iter().filter_map(|partition| self.owned.get(partition)) {
            let (own, views) = state.progress();
            let update = |view, progress| ProgressUpdate { view, partition: state.partition, progress };
            updates.extend(self.views.iter().zip(views).map(|(view, progress)| update(view.id(), progress)));
            updates.push(update(STREAM_HEADS, own));
        }
        updates
    }

    /// The progress of a partition as a whole says where the log is read on. Where a stream was parked it is stored last: a view must not
    /// lose that it stands still by a save of which only a part has happened, so until all of that is stored the log is read again.
    async fn put_progress(&self, partitions: &[Partition]) -> Result<(), Stop> {
        let updates = self.progress_of(partitions);
        let is_parked_anew = |partition| self.owned.get(partition).is_some_and(|state| state.has_parked_anew);
        if partitions.iter().any(is_parked_anew) {
            let (of_partitions, of_views): (Vec<_>, Vec<_>) =
                updates.into_iter().partition(|update| update.view == STREAM_HEADS);
            self.save(&of_views).await?;
            self.save(&of_partitions).await
        } else {
            self.save(&updates).await
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

    /// Brings the cache up to date, and tells through it how far the views are. Where that fails a reader may find an older row there, and sees by
    /// its position that it is.
    async fn refresh_cache(&self, rows: &WorkingSet, live: bool, spans: &BatchSpans, news: &[ProgressUpdate]) {
        let began_at = Instant::now();
        let refreshes =
            self.views.iter().enumerate().filter(|(_, view)| view.is_cached()).map(async |(index, view)| {
                let changed = rows.changed().filter(|slot| slot.table == index);
                let cached: Vec<_> = changed.filter_map(|slot| self.cached(slot, live)).collect();
                if !cached.is_empty() {
                    let traced = spans.begin_refresh(index, view.id(), cached.len());
                    if !self.refresh(view.id(), &cached).await {
                        traced.fail("not_taken");
                    }
                }
            });
        // News last: it shares the round trips of the rows and comes after them, so whoever has heard it finds them.
        join(join_all(refreshes), self.tell(news)).await;
        self.metrics.cache_seconds.record(began_at.elapsed());
    }

    async fn tell(&self, news: &[ProgressUpdate]) {
        let of_partitions = news.chunk_by(|one, next| one.partition == next.partition);
        let row = |updates: &[ProgressUpdate]| {
            let partition = updates.first()?.partition;
            Some((progress_announcement_key(partition), encode_progress_announcement(updates)))
        };
        let rows: Vec<_> = of_partitions.filter_map(row).collect();
        if !rows.is_empty() {
            self.refresh(PROGRESS_ANNOUNCEMENTS, &rows).await;
        }
    }

    /// Returns whether the cache has taken the rows.
    async fn refresh(&self, view: ViewId, rows: &[(RowKey, CachedRow)]) -> bool {
        let refreshed = self.cache.refresh(view, rows).await;
        if let Err(error) = &refreshed {
            self.metrics.cache_failures.increment(1);
            tracing::debug!(%view, %error, "the cache did not take the rows");
        }
        refreshed.is_ok()
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
