//! Test environments, each with a keyspace of its own.

use std::{
    future::Future,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use diptych_kernel::{
    Partitions, Position,
    domain::{RowKey, ViewId},
    ports::{Row, RowWrite},
    testing::TestEnv,
    vocabulary::Installation,
};
use diptych_scylla::{ScyllaConfig, ScyllaViewStore, migrate};
use scylla::{
    client::{session::Session, session_builder::SessionBuilder},
    deserialize::row::DeserializeRow,
};
use tokio::sync::OnceCell;

const SERVER_VARIABLE: &str = "DIPTYCH_TEST_CQL";

/// The number of handles of an environment, each with connections of its own. They are handed out in turns, as opening
/// one is slow.
const HANDLES: usize = 3;

pub(crate) fn partitions() -> Partitions {
    Partitions::new(16).unwrap()
}

/// The installation of all tests.
pub(crate) fn installation() -> &'static Installation {
    static INSTALLATION: LazyLock<Installation> = LazyLock::new(|| Installation::new(partitions()));
    &INSTALLATION
}

pub(crate) fn view(name: &'static str) -> ViewId {
    ViewId { name, generation: 1 }
}

pub(crate) fn at(position: i64) -> Position {
    Position::from_i64(position).unwrap()
}

/// A write of a body, or a deletion if there is none.
pub(crate) fn write(view: ViewId, key: &RowKey, position: i64, body: Option<&[u8]>) -> RowWrite {
    let body = body.map(|body| body.to_vec().into());
    RowWrite { view, key: key.clone(), row: Row { position: at(position), body } }
}

/// The settings for a new keyspace, or `None` without a server.
pub(crate) fn fresh_config() -> Option<ScyllaConfig> {
    let Ok(server) = std::env::var(SERVER_VARIABLE) else {
        let is_ci = std::env::var_os("CI").is_some_and(|ci| !ci.is_empty());
        assert!(!is_ci, "{SERVER_VARIABLE} is not set, but is required in CI");
        println!("skipped: {SERVER_VARIABLE} is not set");
        return None;
    };
    let keyspace = format!("diptych_test_{:016x}", rand::random::<u64>());
    Some(ScyllaConfig { replication_factor: 1, ..ScyllaConfig::new(vec![server], keyspace) })
}

/// A driver session without the adapter, to inspect and modify tables.
pub(crate) struct RawSession(Session);

impl RawSession {
    pub(crate) async fn new(config: &ScyllaConfig) -> Self {
        Self(SessionBuilder::new().known_nodes(&config.contact_points).build().await.unwrap())
    }

    /// Opens a session in the keyspace, which must exist.
    pub(crate) async fn in_keyspace(config: &ScyllaConfig) -> Self {
        let raw = Self::new(config).await;
        raw.0.use_keyspace(&config.keyspace, true).await.unwrap();
        raw
    }

    pub(crate) async fn run(&self, statement: &str) {
        self.0.query_unpaged(statement, ()).await.unwrap();
    }

    pub(crate) async fn rows<R>(&self, select: &str) -> Vec<R>
    where
        R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
    {
        let result = self.0.query_unpaged(select, ()).await.unwrap().into_rows_result().unwrap();
        result.rows().unwrap().map(Result::unwrap).collect()
    }
}

/// Drops the keyspace of a test.
pub(crate) async fn remove(config: &ScyllaConfig) {
    RawSession::new(config).await.run(&format!("DROP KEYSPACE IF EXISTS \"{}\"", config.keyspace)).await;
}

/// A keyspace with handles to it.
pub(crate) struct ScyllaTestEnv {
    pub(crate) config: ScyllaConfig,
    handles: [OnceCell<Arc<ScyllaViewStore>>; HANDLES],
    next: AtomicUsize,
}

impl ScyllaTestEnv {
    /// Returns `None` without a server.
    pub(crate) async fn new() -> Option<Self> {
        let config = fresh_config()?;
        migrate(&config, installation()).await.unwrap();
        Some(Self { config, handles: Default::default(), next: AtomicUsize::new(0) })
    }

    pub(crate) async fn remove(self) {
        remove(&self.config).await;
    }
}

impl TestEnv for ScyllaTestEnv {
    type Handle = ScyllaViewStore;

    async fn handle(&self) -> Arc<ScyllaViewStore> {
        let handle = &self.handles[self.next.fetch_add(1, Ordering::Relaxed) % HANDLES];
        let open = async || Arc::new(ScyllaViewStore::open(self.config.clone(), installation()).await.unwrap());
        Arc::clone(handle.get_or_init(open).await)
    }

    async fn advance(&self, by: Duration) {
        tokio::time::sleep(by).await;
    }

    async fn timeout<T>(&self, bound: Duration, future: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(bound, future).await.ok()
    }
}
