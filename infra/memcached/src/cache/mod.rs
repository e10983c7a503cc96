//! The [`ViewCache`] port over one or more servers.

mod invalidate;
mod read;
mod refresh;
mod servers;
mod settings;

use std::sync::Arc;

use bytes::Bytes;
use diptych_kernel::{
    domain::{RowKey, ViewId},
    ports::{CacheRead, CachedRow, FillLease, PortResult, ViewCache},
};
use futures::future::join_all;

use crate::{
    config::MemcachedConfig,
    connection::{CacheCommand, CallError, Reply},
    key::{Key, Keys},
    metrics::CacheMetrics,
    value,
};
use invalidate::invalidate;
use servers::Servers;
use settings::ItemSettings;

/// The lease of a key whose server did not answer. A fill with it invalidates the key, including anything filled in the
/// meantime. No server gives this lease.
const UNREACHABLE_LEASE: FillLease = FillLease(0);

/// The cache on one or more Memcached servers. A handle and its connections belong to the runtime on which it was
/// opened.
pub struct MemcachedViewCache {
    keys: Keys,
    servers: Servers,
    settings: ItemSettings,
    metrics: Arc<CacheMetrics>,
}

impl MemcachedViewCache {
    /// Begins to connect to the servers. An unreachable server is not an error: its keys are misses until it can be
    /// reached.
    ///
    /// # Errors
    /// When the configuration is invalid; the error lists all problems.
    ///
    /// # Panics
    /// Outside a Tokio runtime with time and I/O enabled.
    pub async fn open(config: MemcachedConfig) -> PortResult<Self> {
        config.check()?;
        let keys = Keys::new(&config.key_prefix, config.history);
        Ok(Self {
            servers: Servers::start(&config, &keys),
            keys,
            settings: ItemSettings::new(&config),
            metrics: Arc::new(CacheMetrics::new()),
        })
    }

    /// The encoded row; `None`, and counted, where it is too large.
    fn value_of(&self, row: &CachedRow) -> Option<Bytes> {
        let bytes = value::HEADER_BYTES + row.body.as_ref().map_or(0, Bytes::len);
        let fits = bytes <= self.settings.value_bytes_max;
        if !fits {
            self.metrics.oversized.increment(1);
        }
        fits.then(|| value::encode(row))
    }

    async fn read_all(&self, keys: Vec<Key>) -> PortResult<Vec<CacheRead>> {
        let mut reads = vec![CacheRead::Miss(UNREACHABLE_LEASE); keys.len()];
        let groups = self.servers.group(keys, |key| key);
        let answers = groups.into_iter().map(|(connection, indexes, keys)| async move {
            (indexes, read::read(connection, keys, self.settings, &self.metrics).await)
        });
        let (mut has_answers, mut failure) = (reads.is_empty(), None);
        for (indexes, answer) in join_all(answers).await {
            match answer {
                Ok(answers) => {
                    has_answers = true;
                    for (index, answer) in indexes.into_iter().zip(answers) {
                        if let Some(read) = reads.get_mut(index) {
                            *read = answer;
                        }
                    }
                }
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(failure) if !has_answers => Err(failure.into()),
            _ => Ok(reads),
        }
    }

    async fn fill_one(&self, key: Key, lease: FillLease, row: &CachedRow) -> PortResult<bool> {
        let connection = self.servers.connection_of(&key);
        if lease == UNREACHABLE_LEASE {
            // If this fails, the invalidation stays pending. Either way the cache will not return an older row.
            let _ = invalidate(connection, vec![key]).await;
            return Ok(true);
        }
        let guard = connection.guard([key.clone()]);
        let value = self.value_of(row);
        let cas = lease.into();
        let command = match value {
            Some(value) => CacheCommand::CompareAndSet { key: key.clone(), cas, value, ttl_s: self.settings.ttl_s },
            // Ends the lease if it is valid, so that no other reader waits for the fill.
            None => CacheCommand::Delete { key: key.clone(), cas: Some(cas) },
        };
        let reply = connection.execute(vec![command]).await?.pop();
        if reply == Some(Reply::Refused) {
            connection.execute(vec![CacheCommand::Delete { key, cas: None }]).await?;
        }
        guard.disarm();
        Ok(reply == Some(Reply::Done))
    }

    async fn refresh_all(&self, rows: Vec<(Key, &CachedRow)>) -> PortResult<()> {
        let groups = self.servers.group(rows, |(key, _)| key);
        let outcomes = groups.into_iter().map(|(connection, _, rows)| {
            let rows = refresh::newest(rows);
            let rows: Vec<_> =
                rows.into_iter().map(|(key, row)| refresh::RowRefresh::new(key, row, self.value_of(row))).collect();
            refresh::refresh(connection, rows, self.settings, &self.metrics)
        });
        first_failure(join_all(outcomes).await)
    }

    async fn invalidate_all(&self, keys: Vec<Key>) -> PortResult<()> {
        let groups = self.servers.group(keys, |key| key);
        let outcomes = groups.into_iter().map(|(connection, _, keys)| invalidate(connection, keys));
        first_failure(join_all(outcomes).await)
    }
}

/// Records no spans: the callers record one around each call, in the right trace.
impl ViewCache for MemcachedViewCache {
    async fn read(&self, view: ViewId, keys: &[RowKey]) -> PortResult<Vec<CacheRead>> {
        self.read_all(self.keys.of_rows(view, keys)).await
    }

    async fn fill(&self, view: ViewId, key: &RowKey, lease: FillLease, row: CachedRow) -> PortResult<bool> {
        self.fill_one(self.keys.of_row(view, key), lease, &row).await
    }

    async fn refresh(&self, view: ViewId, rows: &[(RowKey, CachedRow)]) -> PortResult<()> {
        let keys = self.keys.of_rows(view, rows.iter().map(|(key, _)| key));
        self.refresh_all(keys.into_iter().zip(rows.iter().map(|(_, row)| row)).collect()).await
    }

    async fn invalidate(&self, view: ViewId, keys: &[RowKey]) -> PortResult<()> {
        self.invalidate_all(self.keys.of_rows(view, keys)).await
    }
}

fn first_failure(outcomes: Vec<Result<(), CallError>>) -> PortResult<()> {
    outcomes.into_iter().collect::<Result<(), _>>().map_err(Into::into)
}
