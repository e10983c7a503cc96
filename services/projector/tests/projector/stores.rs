//! Stores whose behaviour a test controls.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use diptych_embedded::{EmbeddedEventStore, EmbeddedViewStore};
use diptych_kernel::{
    Partition, Position, RecordedEvent, StreamId, Version,
    domain::{RowKey, ViewId},
    ports::{
        EventPage, EventStore, PortError, PortResult, ProgressStore, ProgressUpdate, Row, RowWrite, ScanPage,
        TablePosition, TableReader, ViewStore,
    },
    testing::EventStoreWrapper,
};
use parking_lot::Mutex;
use tokio::sync::watch;

/// A write database that can hide one event, and can be down.
pub(crate) struct ScreenedEvents {
    store: Arc<EmbeddedEventStore>,
    hidden: (StreamId, Version),
    is_hiding: AtomicBool,
    is_down: AtomicBool,
    reads: AtomicUsize,
    stream_events: AtomicUsize,
    delay: Delay,
}

/// The time that every call of a store takes.
#[derive(Default)]
struct Delay(AtomicU64);

impl Delay {
    fn set(&self, delay: Duration) {
        self.0.store(u64::try_from(delay.as_millis()).unwrap(), Ordering::SeqCst);
    }

    async fn wait(&self) {
        match self.0.load(Ordering::SeqCst) {
            0 => {}
            millis => tokio::time::sleep(Duration::from_millis(millis)).await,
        }
    }
}

impl ScreenedEvents {
    /// Hides an event, as if it had never been stored.
    pub(crate) fn hiding(store: &Arc<EmbeddedEventStore>, event: &RecordedEvent) -> Arc<Self> {
        Arc::new(Self {
            store: Arc::clone(store),
            hidden: (event.stream_id.clone(), event.version),
            is_hiding: AtomicBool::new(true),
            is_down: AtomicBool::new(false),
            reads: AtomicUsize::new(0),
            stream_events: AtomicUsize::new(0),
            delay: Delay::default(),
        })
    }

    pub(crate) fn show(&self) {
        self.is_hiding.store(false, Ordering::SeqCst);
    }

    pub(crate) fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
    }

    /// The number of reads of events.
    pub(crate) fn reads_count(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    /// The number of events returned by reads of single streams.
    pub(crate) fn stream_events_count(&self) -> usize {
        self.stream_events.load(Ordering::SeqCst)
    }

    /// Makes every read take this long.
    pub(crate) fn set_delay(&self, delay: Duration) {
        self.delay.set(delay);
    }

    async fn begin_read(&self) -> PortResult<()> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.delay.wait().await;
        if self.is_down.load(Ordering::SeqCst) { Err(PortError::not_done("it is down")) } else { Ok(()) }
    }

    fn screen(&self, mut events: Vec<RecordedEvent>) -> Vec<RecordedEvent> {
        if self.is_hiding.load(Ordering::SeqCst) {
            events.retain(|event| (&event.stream_id, event.version) != (&self.hidden.0, self.hidden.1));
        }
        events
    }
}

impl EventStoreWrapper for ScreenedEvents {
    type Inner = EmbeddedEventStore;

    fn inner(&self) -> &EmbeddedEventStore {
        &self.store
    }

    async fn read_after(&self, cursor_exclusive: Position, limit: usize) -> PortResult<EventPage> {
        self.begin_read().await?;
        let tail = self.store.read_after(cursor_exclusive, limit).await?;
        Ok(EventPage { events: self.screen(tail.events), ..tail })
    }

    async fn read_partition_after(
        &self,
        partition: Partition,
        cursor: Position,
        limit: usize,
    ) -> PortResult<EventPage> {
        self.begin_read().await?;
        let tail = self.store.read_partition_after(partition, cursor, limit).await?;
        Ok(EventPage { events: self.screen(tail.events), ..tail })
    }

    async fn read_stream_after(
        &self,
        stream_id: &StreamId,
        version_exclusive: Version,
        limit: usize,
    ) -> PortResult<Vec<RecordedEvent>> {
        self.begin_read().await?;
        let events = self.screen(self.store.read_stream_after(stream_id, version_exclusive, limit).await?);
        self.stream_events.fetch_add(events.len(), Ordering::SeqCst);
        Ok(events)
    }
}

/// A read database with a gate before its writes: they wait while the gate is closed, and fail while the database is
/// down. Every call of rows or progress can be made slow.
pub(crate) struct GatedViews {
    store: Arc<EmbeddedViewStore>,
    is_open: watch::Sender<bool>,
    is_down: AtomicBool,
    waiting: AtomicUsize,
    writes: AtomicUsize,
    keys_read: Mutex<BTreeMap<ViewId, usize>>,
    delay: Delay,
}

impl GatedViews {
    pub(crate) fn open(store: &Arc<EmbeddedViewStore>) -> Arc<Self> {
        let (waiting, writes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (is_open, is_down) = (watch::Sender::new(true), AtomicBool::new(false));
        let (keys_read, delay) = (Mutex::default(), Delay::default());
        Arc::new(Self { store: Arc::clone(store), is_open, is_down, waiting, writes, keys_read, delay })
    }

    pub(crate) fn set_open(&self, is_open: bool) {
        self.is_open.send_replace(is_open);
    }

    pub(crate) fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
    }

    /// The number of writes of rows that are waiting.
    pub(crate) fn waiting_count(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Makes every call take this long.
    pub(crate) fn set_delay(&self, delay: Duration) {
        self.delay.set(delay);
    }

    /// The number of keys read in a view.
    pub(crate) fn keys_read_count(&self, view: ViewId) -> usize {
        self.keys_read.lock().get(&view).copied().unwrap_or_default()
    }

    /// The number of completed writes of rows.
    pub(crate) fn writes_count(&self) -> usize {
        self.writes.load(Ordering::SeqCst)
    }
}

impl ViewStore for GatedViews {
    async fn ensure_views(&self, views: &[ViewId]) -> PortResult<()> {
        self.store.ensure_views(views).await
    }

    async fn write(&self, rows: &[RowWrite]) -> PortResult<()> {
        if self.is_down.load(Ordering::SeqCst) {
            return Err(PortError::not_done("it is down"));
        }
        self.delay.wait().await;
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let opened = self.is_open.subscribe().wait_for(|is_open| *is_open).await.map(|_| ());
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        opened.map_err(|_| PortError::not_done("the gate was dropped"))?;
        self.store.write(rows).await?;
        self.writes.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn read(&self, view: ViewId, keys: &[RowKey]) -> PortResult<Vec<Option<Row>>> {
        self.delay.wait().await;
        *self.keys_read.lock().entry(view).or_default() += keys.len();
        self.store.read(view, keys).await
    }

    async fn scan(
        &self,
        view: ViewId,
        partition_key: &str,
        after: Option<&[u8]>,
        limit: usize,
    ) -> PortResult<ScanPage> {
        self.store.scan(view, partition_key, after, limit).await
    }

    async fn scan_all(&self, view: ViewId, after: Option<&RowKey>, limit: usize) -> PortResult<Vec<(RowKey, Row)>> {
        self.store.scan_all(view, after, limit).await
    }
}

impl ProgressStore for GatedViews {
    async fn save(&self, updates: &[ProgressUpdate]) -> PortResult<()> {
        self.delay.wait().await;
        self.store.save(updates).await
    }

    async fn load(&self, views: &[ViewId]) -> PortResult<Vec<ProgressUpdate>> {
        self.store.load(views).await
    }

    async fn table_positions(&self) -> PortResult<Vec<TablePosition>> {
        self.store.table_positions().await
    }

    async fn add_reader(&self, instance: &str, views: &[ViewId], time_to_live: Duration) -> PortResult<()> {
        self.store.add_reader(instance, views, time_to_live).await
    }

    async fn remove_reader(&self, instance: &str, views: &[ViewId]) -> PortResult<()> {
        self.store.remove_reader(instance, views).await
    }

    async fn readers(&self) -> PortResult<Vec<TableReader>> {
        self.store.readers().await
    }

    async fn wait_for_change(&self, seen: &mut u64, wait_max: Duration) {
        self.store.wait_for_change(seen, wait_max).await;
    }
}
