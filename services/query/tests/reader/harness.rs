//! Test harness: a reader with a read database, a cache, and a projector that the test controls.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use diptych_embedded::{EmbeddedViewCache, EmbeddedViewStore, Storage};
use diptych_kernel::{
    Partition, Partitions, Position, StreamId, Timestamp, Token, Version,
    domain::{RowKey, ViewId},
    ports::{CachedRow, Parked, Progress, ProgressStore, ProgressUpdate, Row, RowWrite, ViewCache, ViewStore},
};
use diptych_query::{Answer, QueryConfig, QueryError, Reader};
use diptych_runtime::{Shutdown, Tasks, TokioClock};
use tokio::time::Instant;

use crate::switched::{SwitchedCache, SwitchedStore};

pub(crate) const SEATS: ViewId = ViewId { name: "seats", generation: 1 };
/// Tracked like [`SEATS`], and never written by the helpers for seats.
pub(crate) const TOTALS: ViewId = ViewId { name: "totals", generation: 1 };

pub(crate) struct QueryHarness {
    pub(crate) store: Arc<SwitchedStore>,
    pub(crate) cache: Arc<SwitchedCache>,
    pub(crate) reader: Reader<SwitchedStore, SwitchedStore, SwitchedCache>,
    pub(crate) tasks: Tasks,
}

pub(crate) fn partitions() -> Partitions {
    Partitions::new(4).unwrap()
}

pub(crate) fn position(number: i64) -> Position {
    Position::from_i64(number).unwrap()
}

/// Returns a time of the write database: one second per position.
pub(crate) fn time(number: i64) -> Timestamp {
    Timestamp::from_micros(number * 1_000_000)
}

/// Returns a clock that moves with the paused time of the test.
pub(crate) fn test_clock() -> Arc<TokioClock> {
    Arc::new(TokioClock::starting_at(time(1)))
}

/// Returns the `number`th seat of a partition.
pub(crate) fn seat(partition: u16, number: usize) -> StreamId {
    let seats = (0..).map(|number| StreamId::new(&format!("seat-{number}")).unwrap());
    seats.filter(|seat| partitions().of(seat).number() == partition).nth(number).unwrap()
}

pub(crate) fn key(stream: &StreamId) -> RowKey {
    RowKey::single(stream.as_str())
}

pub(crate) fn token(entries: &[(u16, i64)]) -> Token {
    entries.iter().map(|(partition, at)| (Partition::new(*partition), position(*at))).collect()
}

pub(crate) fn after(millis: u64) -> Instant {
    Instant::now() + Duration::from_millis(millis)
}

pub(crate) fn row(at: i64, current_up_to: i64, body: &str) -> CachedRow {
    CachedRow {
        position: position(at),
        current_up_to: position(current_up_to),
        as_of: time(current_up_to),
        body: Some(Bytes::copy_from_slice(body.as_bytes())),
    }
}

impl QueryHarness {
    /// Starts with all partitions of both views at position 1 and a ready reader.
    pub(crate) async fn start() -> Self {
        Self::with(QueryConfig::default()).await
    }

    pub(crate) async fn with(config: QueryConfig) -> Self {
        let harness = Self::set_up(config).await;
        harness.reader.ready().await;
        for partition in partitions().iter() {
            harness.progress(SEATS, partition.number(), 1).await;
            harness.progress(TOTALS, partition.number(), 1).await;
        }
        for partition in partitions().iter() {
            harness.until_seen(partition.number(), 1).await;
        }
        harness
    }

    /// Sets up a reader before anything was projected.
    pub(crate) async fn set_up(config: QueryConfig) -> Self {
        let views = EmbeddedViewStore::open(&Storage::Memory, partitions(), test_clock()).unwrap();
        views.ensure_views(&[SEATS, TOTALS]).await.unwrap();
        let store = Arc::new(SwitchedStore::new(views));
        let cache = Arc::new(SwitchedCache::new(Arc::new(EmbeddedViewCache::new(1 << 20))));
        let tasks = Tasks::new(Shutdown::new());
        let (views, progress) = (Arc::clone(&store), Arc::clone(&store));
        let view_ids = vec![SEATS, TOTALS];
        let reader = Reader::start(views, progress, Arc::clone(&cache), view_ids, partitions(), config, &tasks);
        Self { store, cache, reader, tasks }
    }

    /// Performs what a projector does after an event of a seat: write the row, refresh the cache, save progress.
    pub(crate) async fn project(&self, seat: &StreamId, at: i64, body: &str) {
        self.write(SEATS, key(seat), at, body).await;
        self.refresh(seat, row(at, at, body)).await;
        self.progress(SEATS, partitions().of(seat).number(), at).await;
    }

    pub(crate) async fn write(&self, view: ViewId, key: RowKey, at: i64, body: &str) {
        let row = Row { position: position(at), body: Some(Bytes::copy_from_slice(body.as_bytes())) };
        self.store.write(&[RowWrite { view, key, row }]).await.unwrap();
    }

    pub(crate) async fn refresh(&self, seat: &StreamId, row: CachedRow) {
        self.cache.refresh(SEATS, &[(key(seat), row)]).await.unwrap();
    }

    /// Puts the partial row of partition 0 into the cache.
    pub(crate) async fn cache_total(&self, row: CachedRow) {
        self.cache.refresh(TOTALS, &[(RowKey::single("sum-0"), row)]).await.unwrap();
    }

    pub(crate) async fn progress(&self, view: ViewId, partition: u16, at: i64) {
        self.save(view, partition, at, &[]).await;
    }

    pub(crate) async fn park(&self, view: ViewId, stream: &StreamId, at: i64) {
        self.save(view, partitions().of(stream).number(), at, std::slice::from_ref(stream)).await;
    }

    async fn save(&self, view: ViewId, partition: u16, at: i64, parked: &[StreamId]) {
        let parked = parked.iter().map(|stream| Parked {
            stream_id: stream.clone(),
            version: Version::new(1),
            reason: "test".into(),
        });
        let progress =
            Progress { position: position(at), as_of: time(at), parked: parked.collect(), ..Progress::default() };
        let partition = Partition::new(partition);
        self.store.save(&[ProgressUpdate { view, partition, progress }]).await.unwrap();
    }

    /// Waits until the reader has loaded what was saved, for which its task only needs to run.
    pub(crate) async fn until_loaded(&self) {
        diptych_runtime::pause(Duration::from_millis(1)).await;
    }

    /// Waits until the reader has loaded this progress of the seats.
    pub(crate) async fn until_seen(&self, partition: u16, at: i64) {
        let group = format!("nothing-{partition}");
        let scope_partition = Some(Partition::new(partition));
        let token = token(&[(partition, at)]);
        let scan =
            self.reader.scan(SEATS, scope_partition, None, &group, None, 1, &token, after(60_000)).await.map(|_| ());
        assert!(matches!(scan, Ok(()) | Err(QueryError::Parked { .. })), "{scan:?}");
    }

    pub(crate) async fn get(&self, seat: &StreamId, token: &Token) -> Result<Answer<Option<Bytes>>, QueryError> {
        self.reader.get(SEATS, seat, key(seat), token, after(1_000)).await
    }

    /// Returns the body of a seat's row as text; empty if there is no row.
    pub(crate) async fn body(&self, seat: &StreamId, token: &Token) -> String {
        text(self.get(seat, token).await.unwrap().value)
    }
}

pub(crate) fn text(body: Option<Bytes>) -> String {
    body.map(|body| String::from_utf8(body.to_vec()).unwrap()).unwrap_or_default()
}
