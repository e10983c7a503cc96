//! The reader: what the gRPC faces of domains ask.

mod rows;
mod scan;

use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

use bytes::Bytes;
use diptych_kernel::{
    Partition, Partitions, Position, StreamId, Token,
    domain::{RowKey, ViewId},
    ports::{CachedRow, ProgressStore, ViewCache, ViewStore},
};
use diptych_runtime::{Tasks, grpc::time_to_answer};
use tokio::time::Instant;
use tracing::error;

use crate::{
    answer::{Answer, ReadAt, ReadAtBuilder},
    board::{ProgressBoard, Snapshot},
    cached::CachedRows,
    config::QueryConfig,
    error::QueryError,
    freshness,
    metrics::Metrics,
    store::Store,
    wait::{Goal, Waits},
};

/// Reads rows of views, never older than the caller's token.
///
/// Every method takes the point until which the caller waits; [`Reader::deadline`] makes it from what the caller said. Cheap to clone.
pub struct Reader<V, P, C> {
    shared: Arc<Shared<V, C>>,
    /// Progress is read by a task of its own; the type says that the three ports belong to one installation.
    progress: PhantomData<fn() -> P>,
}

struct Shared<V, C> {
    rows: Arc<CachedRows<V, C>>,
    board: ProgressBoard,
    waits: Waits,
    config: QueryConfig,
    metrics: Arc<Metrics>,
}

/// A row that is asked for.
struct Wanted {
    key: RowKey,
    partition: Partition,
    /// The stream of which the row is made; `None` where it is made of many streams of the partition.
    stream: Option<StreamId>,
}

impl<V: ViewStore, P: ProgressStore, C: ViewCache> Reader<V, P, C> {
    /// Starts to follow the progress of these views, as tasks that end with `tasks`. Install the recorder of metrics before.
    #[must_use]
    pub fn start(
        views: Arc<V>,
        progress: Arc<P>,
        cache: Arc<C>,
        view_ids: Vec<ViewId>,
        partitions: Partitions,
        config: QueryConfig,
        tasks: &Tasks,
    ) -> Self {
        let metrics = Arc::new(Metrics::new(&view_ids, partitions));
        let news = Arc::clone(&cache);
        let board = ProgressBoard::start(progress, news, view_ids, partitions, &config, Arc::clone(&metrics), tasks);
        let store = Store::new(views, &config, Arc::clone(&metrics));
        let rows = CachedRows::new(store, cache, board.clone(), &config, Arc::clone(&metrics));
        let waits = Waits::new(board.clone(), config.pending_waits_max, Arc::clone(&metrics));
        Self { shared: Arc::new(Shared { rows: Arc::new(rows), board, waits, config, metrics }), progress: PhantomData }
    }

    /// Returns when progress was loaded for the first time: before, every call ends with [`QueryError::Unavailable`]. Also returns when the
    /// process stops; [`Reader::is_ready`] tells which.
    pub async fn ready(&self) {
        self.shared.board.loaded().await;
    }

    /// Whether progress was loaded.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.shared.board.snapshot().is_some()
    }

    /// Until when a call may take that its caller gives up after `asked`, or that says nothing.
    #[must_use]
    pub fn deadline(&self, asked: Option<Duration>) -> Instant {
        let config = &self.shared.config;
        let allowed = match asked {
            Some(asked) => time_to_answer(asked).min(config.wait_max),
            None => config.wait_default,
        };
        Instant::now() + allowed
    }

    /// The row of a stream; `None` where there is none.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub async fn get(
        &self,
        view: ViewId,
        stream: &StreamId,
        key: RowKey,
        token: &Token,
        deadline: Instant,
    ) -> Result<Answer<Option<Bytes>>, QueryError> {
        let wanted = [self.wanted(stream, key)];
        let (rows, read_at) = self.shared.counted(self.shared.rows(view, &wanted, token, deadline).await)?;
        Ok(Answer { value: rows.into_iter().next().and_then(|row| row.body), read_at })
    }

    /// Rows of streams, in the order of `keys`.
    ///
    /// # Errors
    /// See [`QueryError`]. One row that cannot be had fails the call.
    pub async fn get_many(
        &self,
        view: ViewId,
        keys: &[(StreamId, RowKey)],
        token: &Token,
        deadline: Instant,
    ) -> Result<Answer<Vec<Option<Bytes>>>, QueryError> {
        let wanted: Vec<_> = keys.iter().map(|(stream, key)| self.wanted(stream, key.clone())).collect();
        let answer = self.shared.counted(self.shared.rows(view, &wanted, token, deadline).await)?;
        Ok(bodies(answer))
    }

    /// Partial rows, each made of many streams of its partition, in the order of `keys`. Each is as of the progress of its own partition. While
    /// a stream of a partition is parked, a token for that partition cannot be met.
    ///
    /// # Errors
    /// See [`QueryError`]. One row that cannot be had fails the call.
    pub async fn get_partials(
        &self,
        view: ViewId,
        keys: &[(Partition, RowKey)],
        token: &Token,
        deadline: Instant,
    ) -> Result<Answer<Vec<Option<Bytes>>>, QueryError> {
        let wanted: Vec<_> = keys
            .iter()
            .map(|(partition, key)| Wanted { key: key.clone(), partition: *partition, stream: None })
            .collect();
        let answer = self.shared.counted(self.shared.rows(view, &wanted, token, deadline).await)?;
        Ok(bodies(answer))
    }

    fn wanted(&self, stream: &StreamId, key: RowKey) -> Wanted {
        Wanted { key, partition: self.shared.board.partitions().of(stream), stream: Some(stream.clone()) }
    }
}

impl<V: ViewStore, C: ViewCache> Shared<V, C> {
    /// The number of a view on the board and the picture of progress.
    fn view(&self, view: ViewId) -> Result<(usize, Arc<Snapshot>), QueryError> {
        let Some(number) = self.board.number_of(view) else {
            error!(%view, "a view was asked for whose progress is not followed");
            return Err(QueryError::Internal);
        };
        Ok((number, self.board.snapshot().ok_or(QueryError::Unavailable)?))
    }

    fn counted<T>(&self, result: Result<T, QueryError>) -> Result<T, QueryError> {
        match &result {
            Err(QueryError::Behind { .. }) => self.metrics.behind.increment(1),
            Err(QueryError::Parked { .. }) => self.metrics.parked.increment(1),
            Err(QueryError::Overloaded) => self.metrics.overloaded.increment(1),
            _ => {}
        }
        result
    }
}

fn bodies((rows, read_at): (Vec<CachedRow>, ReadAt)) -> Answer<Vec<Option<Bytes>>> {
    Answer { value: rows.into_iter().map(|row| row.body).collect(), read_at }
}

/// Refuses what a parked stream keeps from being shown: the stream's own rows always, and rows that many streams share where a token asks for
/// something of their partition. Nobody can say whether that is what is missing.
fn refuse_parked(
    snapshot: &Snapshot,
    view: usize,
    partition: Partition,
    stream: Option<&StreamId>,
    required: Position,
) -> Result<(), QueryError> {
    let Some(slot) = snapshot.slot(view, partition) else { return Ok(()) };
    let parked = match stream {
        Some(stream) if slot.is_parked(stream) => Some(stream),
        None if required > Position::START => slot.parked().first(),
        _ => None,
    };
    parked.map_or(Ok(()), |stream_id| Err(QueryError::Parked { stream_id: stream_id.clone() }))
}

impl<V, P, C> Clone for Reader<V, P, C> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), progress: PhantomData }
    }
}

impl<V, P, C> fmt::Debug for Reader<V, P, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}
