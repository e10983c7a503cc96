//! The test environment of the suite: a server and a key prefix.

use std::{future::Future, sync::Arc, time::Duration};

use diptych_kernel::testing::TestEnv;
use diptych_memcached::{MemcachedConfig, MemcachedViewCache};
use uuid::Uuid;

const SERVER: &str = "DIPTYCH_TEST_MEMCACHED";

/// A fresh key prefix on the server.
pub(crate) struct MemcachedTestEnv {
    config: MemcachedConfig,
}

impl MemcachedTestEnv {
    /// `None` where no server is configured.
    pub(crate) fn new() -> Option<Self> {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut MemcachedConfig)) -> Option<Self> {
        let Ok(server) = std::env::var(SERVER) else {
            assert!(std::env::var("CI").map_or(true, |ci| ci.is_empty()), "{SERVER} is not set in CI");
            println!("skipped: {SERVER} is not set");
            return None;
        };
        let mut config = MemcachedConfig::new(vec![server]);
        config.key_prefix = Uuid::new_v4().simple().to_string();
        // A machine that is busy with other tests must not cause timeouts.
        config.request_timeout = Duration::from_secs(5);
        config.connect_timeout = Duration::from_secs(5);
        change(&mut config);
        Some(Self { config })
    }
}

impl TestEnv for MemcachedTestEnv {
    type Handle = MemcachedViewCache;

    async fn handle(&self) -> Arc<MemcachedViewCache> {
        Arc::new(MemcachedViewCache::open(self.config.clone()).await.unwrap())
    }

    async fn advance(&self, by: Duration) {
        tokio::time::sleep(by).await;
    }

    async fn timeout<T>(&self, bound: Duration, future: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(bound, future).await.ok()
    }

    fn retains_entries(&self) -> bool {
        self.config.refresh_puts_absent
    }
}
