//! The port, over several servers.

mod read;
mod refresh;
mod servers;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use diptych_kernel::{
    domain::{RowKey, ViewId},
    ports::{CacheRead, CachedRow, FillLease, PortResult, ViewCache},
};
use futures::future::join_all;

use crate::{
    MemcachedConfig,
    key::{Key, Keys},
    lane::{Command, Failure, Lane, Reply},
    metrics::CacheMetrics,
    value,
};
use servers::Servers;

/// The lease of a key whose server did not answer. What is filled with it is forgotten at once, with all that has been filled since. No server
/// gives this one.
const OUT_OF_REACH: FillLease = FillLease(0);

/// The cache on one or more Memcached servers. A handle, and its connections, live on the runtime on which it was opened.
pub struct MemcachedViewCache {
    keys: Keys,
    servers: Servers,
    terms: Terms,
    metrics: Arc<CacheMetrics>,
}

/// What holds for every item.
#[derive(Clone, Copy, Debug)]
struct Terms {
    ttl_s: u32,
    lease_ttl_s: u32,
    value_bytes_max: usize,
    refresh_puts_absent: bool,
}

impl MemcachedViewCache {
    /// Begins to connect to the servers. One that cannot be reached is no error: its keys are misses until it can be.
    ///
    /// # Errors
    /// When the configuration cannot work; the error says all that is wrong with it.
    ///
    /// # Panics
    /// Outside a Tokio runtime with time and I/O.
    pub async fn open(config: MemcachedConfig) -> PortResult<Self> {
        config.check()?;
        let keys = Keys::new(&config.key_prefix);
        Ok(Self {
            servers: Servers::start(&config, &keys),
            keys,
            terms: Terms::new(&config),
            metrics: Arc::new(CacheMetrics::new()),
        })
    }

    /// The bytes of a row; `None`, counted, where they are too many.
    fn value_of(&self, row: &CachedRow) -> Option<Bytes> {
        let bytes = value::HEADER_BYTES + row.body.as_ref().map_or(0, Bytes::len);
        let fits = bytes <= self.terms.value_bytes_max;
        if !fits {
            self.metrics.oversized.increment(1);
        }
        fits.then(|| value::encode(row))
    }

    async fn read_all(&self, keys: Vec<Key>) -> PortResult<Vec<CacheRead>> {
        let mut reads = vec![CacheRead::Miss(OUT_OF_REACH); keys.len()];
        let groups = self.servers.group(keys, |key| key);
        let answers = groups.into_iter().map(|(lane, places, keys)| async move {
            (places, read::read(lane, keys, self.terms, &self.metrics).await)
        });
        let (mut has_answers, mut failure) = (reads.is_empty(), None);
        for (places, answer) in join_all(answers).await {
            match answer {
                Ok(answers) => {
                    has_answers = true;
                    for (place, answer) in places.into_iter().zip(answers) {
                        if let Some(read) = reads.get_mut(place) {
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
        let lane = self.servers.of(&key);
        if lease == OUT_OF_REACH {
            // Where that fails it is remembered. Either way the cache will not contradict the row.
            let _ = forget(lane, vec![key]).await;
            return Ok(true);
        }
        let pledge = lane.pledge([key.clone()]);
        let value = self.value_of(row);
        let mark = lease.into();
        let command = match value {
            Some(value) => Command::Put { key: key.clone(), mark, value, ttl_s: self.terms.ttl_s },
            // Taken, if the lease is good, and forgotten at once: nobody need wait for it.
            None => Command::Delete { key: key.clone(), mark: Some(mark) },
        };
        let reply = only(lane.ask(vec![command]).await?);
        if reply == Some(Reply::Refused) {
            lane.ask(vec![Command::Delete { key, mark: None }]).await?;
        }
        pledge.keep();
        Ok(reply == Some(Reply::Done))
    }

    async fn refresh_all(&self, rows: Vec<(Key, &CachedRow)>) -> PortResult<()> {
        let groups = self.servers.group(rows, |(key, _)| key);
        let outcomes = groups.into_iter().map(|(lane, _, rows)| {
            let rows = refresh::newest(rows);
            let rows: Vec<_> =
                rows.into_iter().map(|(key, row)| refresh::Refresh::new(key, row, self.value_of(row))).collect();
            refresh::refresh(lane, rows, self.terms, &self.metrics)
        });
        first_failure(join_all(outcomes).await)
    }

    async fn invalidate_all(&self, keys: Vec<Key>) -> PortResult<()> {
        let groups = self.servers.group(keys, |key| key);
        let outcomes = groups.into_iter().map(|(lane, _, keys)| forget(lane, keys));
        first_failure(join_all(outcomes).await)
    }
}

/// Without spans of its own: the stages have one around each call, in the trace that it belongs to.
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

impl Terms {
    fn new(config: &MemcachedConfig) -> Self {
        Self {
            ttl_s: seconds(config.ttl),
            // Servers look at a clock that moves once a second, so what is to live for n of them lives for n - 1 to n.
            lease_ttl_s: seconds(config.lease_ttl).saturating_add(1),
            value_bytes_max: config.value_bytes_max,
            refresh_puts_absent: config.refresh_puts_absent,
        }
    }
}

/// Whole seconds, rounded up.
fn seconds(time: Duration) -> u32 {
    let started = u64::from(time.subsec_nanos() > 0);
    u32::try_from(time.as_secs().saturating_add(started)).unwrap_or(u32::MAX)
}

/// Forgets keys and ends their leases.
async fn forget(lane: &Lane, keys: Vec<Key>) -> Result<(), Failure> {
    let pledge = lane.pledge(keys.iter().cloned());
    lane.ask(keys.into_iter().map(|key| Command::Delete { key, mark: None }).collect()).await?;
    pledge.keep();
    Ok(())
}

fn first_failure(outcomes: Vec<Result<(), Failure>>) -> PortResult<()> {
    outcomes.into_iter().collect::<Result<(), _>>().map_err(Into::into)
}

fn only(mut replies: Vec<Reply>) -> Option<Reply> {
    replies.pop()
}
