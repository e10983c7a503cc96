//! Public API of the query path, used by the gRPC services of domains.

mod reader_core;
mod row_query;
mod scan_query;

use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

use bytes::Bytes;
use diptych_kernel::{
    Partition, Partitions, StreamId, Timestamp, Token,
    domain::{RowKey, ViewId},
    ports::{CachedRow, ProgressStore, ViewCache, ViewStore},
};
use diptych_runtime::{Tasks, grpc::answer_timeout};
use tokio::time::Instant;

use crate::{
    answer::{Answer, Page, ReadAt},
    cached_rows::CachedRows,
    config::QueryConfig,
    error::QueryError,
    metrics::QueryMetrics,
    progress_tracker::ProgressTracker,
    progress_wait::ProgressWaits,
    retrying_store::RetryingStore,
};
use reader_core::ReaderCore;
use row_query::RequestedRow;
use scan_query::ScanScope;

/// Reads rows of views, never older than the caller's token.
///
/// Every method takes a deadline until which the call may wait; [`Reader::deadline`] computes it from the timeout that
/// the client sent. Cheap to clone.
pub struct Reader<V, P, C> {
    core: Arc<ReaderCore<V, C>>,
    /// A separate task reads progress; the type documents that the three ports belong to one installation.
    progress: PhantomData<fn() -> P>,
}

impl<V: ViewStore, P: ProgressStore, C: ViewCache> Reader<V, P, C> {
    /// Starts tracking the progress of these views, in tasks that end with `tasks`. Install the metrics recorder first.
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
        let metrics = Arc::new(QueryMetrics::new(&view_ids, partitions));
        let tracker = ProgressTracker::start(
            progress,
            Arc::clone(&cache),
            view_ids,
            partitions,
            &config,
            Arc::clone(&metrics),
            tasks,
        );
        let store = RetryingStore::new(views, &config, Arc::clone(&metrics));
        let rows = Arc::new(CachedRows::new(store, cache, tracker.clone(), &config, Arc::clone(&metrics)));
        let waits = ProgressWaits::new(tracker.clone(), config.pending_waits_max, Arc::clone(&metrics));
        Self { core: Arc::new(ReaderCore { rows, tracker, waits, config, metrics }), progress: PhantomData }
    }

    /// Waits until progress has been loaded for the first time; before that, every call fails with
    /// [`QueryError::Unavailable`]. Also returns when the process stops; [`Reader::is_ready`] distinguishes the two.
    pub async fn ready(&self) {
        self.core.tracker.wait_until_loaded().await;
    }

    /// Returns whether progress has been loaded.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.core.tracker.snapshot().is_some()
    }

    /// Computes the deadline of a call from the timeout that the client sent, if any: a little earlier than the
    /// client's, so that an error still reaches it, and within the configured maximum.
    #[must_use]
    pub fn deadline(&self, client_timeout: Option<Duration>) -> Instant {
        let config = &self.core.config;
        let allowed = match client_timeout {
            Some(timeout) => answer_timeout(timeout).min(config.call_timeout_max),
            None => config.call_timeout_default,
        };
        Instant::now() + allowed
    }

    /// Waits until views include every event of these partitions that was recorded by `time`, and returns the token of
    /// a call that must see all of them: the given one, raised. By the write database's clock.
    ///
    /// # Errors
    /// [`QueryError::TooOld`] at the deadline; see [`QueryError`] for others.
    pub async fn token_complete_up_to(
        &self,
        time: Timestamp,
        partitions: impl IntoIterator<Item = Partition>,
        mut token: Token,
        deadline: Instant,
    ) -> Result<Token, QueryError> {
        for partition in partitions {
            let position = self.core.waits.wait_until_complete(partition, time, deadline).await;
            token.raise(partition, self.core.count_refusal(position)?);
        }
        Ok(token)
    }

    /// Returns the row of a stream; `None` if there is none.
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
        let requested = [self.row_of_stream(stream, key)];
        let (rows, read_at) = self.rows(view, &requested, token, deadline).await?;
        Ok(Answer { value: rows.into_iter().next().and_then(|row| row.body), read_at })
    }

    /// Returns rows of streams, in the order of `keys`.
    ///
    /// # Errors
    /// See [`QueryError`]. One row that cannot be read fails the call.
    pub async fn get_many(
        &self,
        view: ViewId,
        keys: &[(StreamId, RowKey)],
        token: &Token,
        deadline: Instant,
    ) -> Result<Answer<Vec<Option<Bytes>>>, QueryError> {
        let requested: Vec<_> = keys.iter().map(|(stream, key)| self.row_of_stream(stream, key.clone())).collect();
        Ok(bodies(self.rows(view, &requested, token, deadline).await?))
    }

    /// Returns partial rows, each made of many streams of its partition, in the order of `keys`. Each is as fresh as
    /// the progress of its own partition. While a stream of a partition is parked, no token for that partition can be
    /// met.
    ///
    /// # Errors
    /// See [`QueryError`]. One row that cannot be read fails the call.
    pub async fn get_partials(
        &self,
        view: ViewId,
        keys: &[(Partition, RowKey)],
        token: &Token,
        deadline: Instant,
    ) -> Result<Answer<Vec<Option<Bytes>>>, QueryError> {
        let requested: Vec<_> = keys
            .iter()
            .map(|(partition, key)| RequestedRow { key: key.clone(), partition: *partition, stream: None })
            .collect();
        Ok(bodies(self.rows(view, &requested, token, deadline).await?))
    }

    /// Returns up to `limit` rows of a group, after a sort key. The group is made of events of one `stream`, or of many
    /// streams of one `partition`, or, if both are `None`, of streams of any partition: then the token is checked
    /// against each partition that it names.
    ///
    /// # Errors
    /// See [`QueryError`].
    #[allow(
        clippy::too_many_arguments,
        reason = "what to read, its scope and its freshness: each is needed, and no two form a unit"
    )]
    pub async fn scan(
        &self,
        view: ViewId,
        partition: Option<Partition>,
        stream: Option<&StreamId>,
        partition_key: &str,
        after_exclusive: Option<&[u8]>,
        limit: usize,
        token: &Token,
        deadline: Instant,
    ) -> Result<Answer<Page>, QueryError> {
        let partition = partition.or_else(|| stream.map(|stream| self.core.tracker.partitions().of(stream)));
        let scope = ScanScope { partition, stream };
        let page = self.core.scan(view, scope, partition_key, after_exclusive, limit, token, deadline).await;
        self.core.count_refusal(page)
    }

    fn row_of_stream(&self, stream: &StreamId, key: RowKey) -> RequestedRow {
        RequestedRow { key, partition: self.core.tracker.partitions().of(stream), stream: Some(stream.clone()) }
    }

    async fn rows(
        &self,
        view: ViewId,
        requested: &[RequestedRow],
        token: &Token,
        deadline: Instant,
    ) -> Result<(Vec<CachedRow>, ReadAt), QueryError> {
        self.core.count_refusal(self.core.rows(view, requested, token, deadline).await)
    }
}

fn bodies((rows, read_at): (Vec<CachedRow>, ReadAt)) -> Answer<Vec<Option<Bytes>>> {
    Answer { value: rows.into_iter().map(|row| row.body).collect(), read_at }
}

impl<V, P, C> Clone for Reader<V, P, C> {
    fn clone(&self) -> Self {
        Self { core: Arc::clone(&self.core), progress: PhantomData }
    }
}

impl<V, P, C> fmt::Debug for Reader<V, P, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}
