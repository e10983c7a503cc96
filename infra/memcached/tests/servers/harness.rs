//! Helpers shared by the tests: settings, rows, single-key calls and waits.

use std::{slice, time::Duration};

use bytes::Bytes;
use diptych_kernel::{
    Position, Timestamp,
    domain::{RowKey, ViewId},
    ports::{CacheRead, CachedRow, FillLease, ViewCache},
};
use diptych_memcached::{MemcachedConfig, MemcachedViewCache};
use memcache::exp::AsyncMetaClient;
use uuid::Uuid;

const SERVER: &str = "DIPTYCH_TEST_MEMCACHED";

pub(crate) const SEATS: ViewId = ViewId { name: "seats", generation: 1 };

/// Timeout of waits, far more than a working machine needs.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// The server shared by all tests; `None` where none is configured.
pub(crate) fn shared_server() -> Option<String> {
    let server = std::env::var(SERVER).ok();
    assert!(server.is_some() || !is_ci(), "{SERVER} is not set in CI");
    if server.is_none() {
        println!("skipped: {SERVER} is not set");
    }
    server
}

pub(crate) fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|ci| !ci.is_empty())
}

/// Settings with a key prefix of their own and timeouts for a busy machine; a test in which a server is to time out
/// sets shorter ones.
pub(crate) fn config(servers: &[&str]) -> MemcachedConfig {
    MemcachedConfig {
        key_prefix: Uuid::new_v4().simple().to_string(),
        connect_timeout: Duration::from_secs(10),
        request_timeout: Duration::from_secs(10),
        reconnect_delay_min: Duration::from_millis(1),
        reconnect_delay_max: Duration::from_millis(20),
        ..MemcachedConfig::new(servers.iter().map(ToString::to_string).collect())
    }
}

pub(crate) async fn open(config: &MemcachedConfig) -> MemcachedViewCache {
    MemcachedViewCache::open(config.clone()).await.unwrap()
}

/// The library's bare client, to inspect and change items directly.
pub(crate) async fn bare_client_of(server: &str) -> AsyncMetaClient {
    AsyncMetaClient::connect(server.to_owned()).await.unwrap()
}

pub(crate) fn key(number: usize) -> RowKey {
    RowKey::single(&format!("seat-{number}"))
}

/// The key of a row on the server.
pub(crate) fn server_key(config: &MemcachedConfig, number: usize) -> String {
    format!("{}:seats_g1:seat-{number}:", config.key_prefix)
}

pub(crate) fn row(position: i64) -> CachedRow {
    row_of(position, Some(Bytes::from(format!("at {position}"))))
}

pub(crate) fn row_of(position: i64, body: Option<Bytes>) -> CachedRow {
    let position = Position::from_i64(position).unwrap();
    CachedRow { position, current_up_to: position, as_of: Timestamp::from_micros(position.as_i64()), body }
}

pub(crate) async fn read_one(cache: &MemcachedViewCache, number: usize) -> CacheRead {
    cache.read(SEATS, slice::from_ref(&key(number))).await.unwrap().remove(0)
}

pub(crate) async fn lease(cache: &MemcachedViewCache, number: usize) -> FillLease {
    match read_one(cache, number).await {
        CacheRead::Miss(lease) => lease,
        other => panic!("expected a miss: {other:?}"),
    }
}

/// The position of the cached row, if there is one.
pub(crate) async fn cached_position(cache: &MemcachedViewCache, number: usize) -> Option<i64> {
    match read_one(cache, number).await {
        CacheRead::Hit(row) => Some(row.position.as_i64()),
        CacheRead::Miss(_) | CacheRead::Filling => None,
    }
}

pub(crate) async fn refresh(cache: &MemcachedViewCache, number: usize, position: i64) {
    cache.refresh(SEATS, &[(key(number), row(position))]).await.unwrap();
}

pub(crate) async fn invalidate(cache: &MemcachedViewCache, number: usize) {
    cache.invalidate(SEATS, slice::from_ref(&key(number))).await.unwrap();
}

/// Waits until a condition holds.
pub(crate) async fn wait_until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(WAIT_MAX, waiting).await.unwrap_or_else(|_| panic!("timed out waiting for {what}"));
}

/// Waits until the server answers.
pub(crate) async fn wait_until_reachable(cache: &MemcachedViewCache, number: usize) {
    wait_until("the server", async || cache.read(SEATS, slice::from_ref(&key(number))).await.is_ok()).await;
}

/// Waits until calls for a key fail without being attempted.
pub(crate) async fn wait_until_down(cache: &MemcachedViewCache, number: usize) {
    wait_until("the server to be down", async || match cache.invalidate(SEATS, slice::from_ref(&key(number))).await {
        Ok(()) => false,
        Err(error) => error.to_string().contains("is down"),
    })
    .await;
}
