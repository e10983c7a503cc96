//! A role without rights to change tables is enough for services.

use std::{sync::Arc, time::Duration};

use diptych_kernel::{
    Timestamp,
    ports::EventStore,
    testing::{TestEnv, event_store, relay_state, with_seed},
};
use diptych_postgres::{PostgresConfig, PostgresEventStore};

use crate::support::{
    Database, ReturnWhen, SettledStore,
    appends::{append_one, find_request, unit},
    partitions, with_database,
};

/// A database that is used by the role of a service.
struct ServiceTestEnv {
    database: Arc<Database>,
    config: PostgresConfig,
}

impl ServiceTestEnv {
    async fn new(database: Arc<Database>) -> Self {
        let config = database.config_of_service().await;
        Self { database, config }
    }
}

impl TestEnv for ServiceTestEnv {
    type Handle = SettledStore;

    async fn handle(&self) -> Arc<SettledStore> {
        let store = PostgresEventStore::open(self.config.clone()).await.unwrap();
        Arc::new(SettledStore::new(store, self.database.connect().await, ReturnWhen::Full))
    }

    async fn advance(&self, by: Duration) {
        self.database.advance(by).await;
    }

    async fn timeout<T>(&self, bound: Duration, future: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(bound, future).await.ok()
    }
}

#[test]
fn the_event_store_works_under_a_role_that_cannot_change_tables() {
    with_database(|database| with_seed(1, async { event_store::suite(&ServiceTestEnv::new(database).await, 1).await }));
}

#[test]
fn the_relay_works_under_a_role_that_cannot_change_tables() {
    with_database(|database| {
        with_seed(1, async { relay_state::suite(&ServiceTestEnv::new(database).await, partitions(), 1).await })
    });
}

#[test]
fn tables_rotate_under_a_role_that_cannot_change_them() {
    with_database(|database| async move {
        let config = PostgresConfig {
            event_segment_bytes: 1,
            request_partition_interval: Duration::ZERO,
            ..database.config_of_service().await
        };
        let handle = PostgresEventStore::open(config.clone()).await.unwrap();
        let units: Vec<_> = (1..=3).map(|version| unit("rotated", version)).collect();
        for unit in &units {
            append_one(&handle, unit).await;
            handle.forget_requests(Timestamp::from_micros(0), 1).await.unwrap();
        }
        assert!(find_request(&handle, &units[0]).await.is_some());
        let counts = "SELECT (SELECT count(DISTINCT tableoid) FROM events), count(DISTINCT tableoid) FROM requests";
        let counts = database.row(counts, &[]).await;
        assert_eq!((counts.get::<_, i64>(0), counts.get::<_, i64>(1)), (3, 3));

        let (client, connection) = tokio_postgres::connect(&config.url, tokio_postgres::NoTls).await.unwrap();
        #[allow(clippy::disallowed_methods, reason = "ends with its client")]
        tokio::spawn(connection);
        for statement in [
            "CREATE TABLE own ()",
            "ALTER TABLE events ADD COLUMN own integer",
            "DROP TABLE requests_1",
            "TRUNCATE events_1",
            "DELETE FROM events",
            "UPDATE events SET version = 1",
            "DELETE FROM requests",
            "UPDATE installation SET position_base = 0",
        ] {
            let error = client.batch_execute(statement).await.expect_err(statement);
            assert_eq!(error.code().unwrap().code(), "42501", "{statement}: {error}");
        }
    });
}

/// Otherwise a caller could have its own tables changed with the rights of the owner.
#[test]
fn functions_that_run_as_their_owner_have_a_fixed_search_path() {
    with_database(|database| async move {
        let functions = "SELECT count(*), count(*) FILTER (WHERE proconfig::text LIKE '%search_path=%, pg_temp%')
            FROM pg_proc WHERE prosecdef";
        let counts = database.row(functions, &[]).await;
        assert_eq!((counts.get::<_, i64>(0), counts.get::<_, i64>(1)), (7, 7));
    });
}
