//! Test databases, each created for one test and dropped after it.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod appends;
mod settled_store;

use std::{env, future::Future, sync::Arc, thread, time::Duration};

use diptych_kernel::{Partitions, testing};
use diptych_postgres::{PostgresConfig, PostgresEventStore, grant, migrate};
use tokio::sync::RwLock;
use tokio_postgres::{Client, NoTls, Row, types::ToSql};
use uuid::Uuid;

pub(crate) use settled_store::{ReturnWhen, SettledStore};

pub(crate) const PARTITIONS: u16 = 4;

/// Separates the tests of a binary: those that keep a transaction open hold it shared, as their transaction holds back
/// the readers of all databases, and those that must read an event at once hold it exclusively.
pub(crate) static HORIZON: RwLock<()> = RwLock::const_new(());

pub(crate) fn partitions() -> Partitions {
    Partitions::new(PARTITIONS).unwrap()
}

/// The URL of the test server, or `None` if there is none and tests are to be skipped.
pub(crate) fn test_server_url() -> Option<String> {
    const NAME: &str = "DIPTYCH_TEST_POSTGRES_URL";
    match env::var(NAME) {
        Ok(url) => Some(url),
        Err(_) if env::var("CI").is_ok_and(|ci| !ci.is_empty()) => panic!("{NAME} is not set"),
        Err(_) => {
            println!("skipped: {NAME} is not set");
            None
        }
    }
}

/// Runs a test on a database of its own, if there is a server.
pub(crate) fn with_database<T: Future<Output = ()>>(test: impl FnOnce(Arc<Database>) -> T) {
    let Some(server) = test_server_url() else { return };
    run(async {
        let database = Arc::new(Database::create(&server).await);
        database.migrate().await;
        test(database).await;
    });
}

pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

/// A database with a clock that can be advanced. The database is dropped with this value.
pub(crate) struct Database {
    server: String,
    name: String,
    pub(crate) client: Client,
}

impl Database {
    /// Creates a database without tables.
    pub(crate) async fn create(server: &str) -> Self {
        let name = format!("diptych_test_{}", Uuid::new_v4().simple());
        let admin = connect(server).await;
        admin.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0")).await.unwrap();
        // Functions in a schema before pg_catalog override the server's own.
        let path = format!("ALTER DATABASE {name} SET search_path = public, test, pg_catalog");
        admin.batch_execute(&path).await.unwrap();
        let client = connect(&in_database(server, &name)).await;
        client
            .batch_execute(
                "CREATE SCHEMA test;
                 CREATE TABLE test.clock AS SELECT interval '0' AS ahead;
                 CREATE FUNCTION test.statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE AS
                 'SELECT pg_catalog.statement_timestamp() + (SELECT ahead FROM test.clock)'",
            )
            .await
            .unwrap();
        Self { server: server.to_owned(), name, client }
    }

    pub(crate) async fn migrate(&self) {
        migrate(&self.config(), partitions()).await.unwrap();
    }

    pub(crate) fn config(&self) -> PostgresConfig {
        PostgresConfig::new(in_database(&self.server, &self.name))
    }

    /// The settings of a service: its role has no rights but those that `grant` gives. The role is the same for all
    /// databases of the server, and stays.
    pub(crate) async fn config_of_service(&self) -> PostgresConfig {
        const ROLE: &str = "diptych_test_service";
        let create = format!(
            "DO $$ BEGIN CREATE ROLE {ROLE} LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$;
             GRANT USAGE ON SCHEMA test TO {ROLE}; GRANT SELECT ON test.clock TO {ROLE}"
        );
        self.execute(&create).await;
        grant(&self.config(), ROLE).await.unwrap();
        let url = in_database(&self.server, &self.name);
        let (_, host) = url.split_once('@').expect("the URL of the server names a user");
        PostgresConfig::new(format!("postgres://{ROLE}@{host}"))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) async fn open(&self) -> PostgresEventStore {
        PostgresEventStore::open(self.config()).await.unwrap()
    }

    /// Opens another connection.
    pub(crate) async fn connect(&self) -> Client {
        connect(&in_database(&self.server, &self.name)).await
    }

    pub(crate) async fn execute(&self, statements: &str) {
        self.client.batch_execute(statements).await.unwrap();
    }

    pub(crate) async fn row(&self, statement: &str, params: &[&(dyn ToSql + Sync)]) -> Row {
        self.client.query_one(statement, params).await.unwrap()
    }

    /// Waits until every stored event can be read: open transactions of other tests hold readers back too.
    pub(crate) async fn wait_until_settled(&self) {
        self.wait_until(settled_store::IS_SETTLED).await;
    }

    /// Waits until a query returns true, by repeating it.
    pub(crate) async fn wait_until(&self, condition: &str) {
        let repeated = async {
            while !self.row(condition, &[]).await.get::<_, Option<bool>>(0).unwrap_or_default() {
                tokio::task::yield_now().await;
            }
        };
        let reached = tokio::time::timeout(Duration::from_secs(20), repeated).await;
        assert!(reached.is_ok(), "the condition was never met: {condition}");
    }

    pub(crate) async fn advance(&self, by: Duration) {
        let statement = "UPDATE test.clock SET ahead = ahead + make_interval(secs => $1)";
        self.client.execute(statement, &[&by.as_secs_f64()]).await.unwrap();
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, statement) = (self.server.clone(), format!("DROP DATABASE {} WITH (FORCE)", self.name));
        // Not on this thread, whose runtime is in use.
        let dropping = thread::spawn(move || run(async { connect(&server).await.batch_execute(&statement).await }));
        if let Err(error) = dropping.join().unwrap() {
            eprintln!("cannot drop a test database: {error}");
        }
    }
}

fn in_database(server: &str, name: &str) -> String {
    let (server, parameters) = server.split_once('?').map_or((server, String::new()), |(s, p)| (s, format!("?{p}")));
    let (host, _) = server.rsplit_once('/').expect("the URL of the server names a database");
    format!("{host}/{name}{parameters}")
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    #[allow(clippy::disallowed_methods, reason = "ends with its client")]
    tokio::spawn(connection);
    client
}

/// A database as a test environment for conformance suites.
pub(crate) struct PostgresTestEnv(pub(crate) Arc<Database>);

impl testing::TestEnv for PostgresTestEnv {
    type Handle = SettledStore;

    async fn handle(&self) -> Arc<SettledStore> {
        Arc::new(SettledStore::new(self.0.open().await, self.0.connect().await, ReturnWhen::Full))
    }

    async fn advance(&self, by: Duration) {
        self.0.advance(by).await;
    }

    async fn timeout<T>(&self, bound: Duration, future: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(bound, future).await.ok()
    }
}
