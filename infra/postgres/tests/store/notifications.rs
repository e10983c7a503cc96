//! Waiting for events.

use std::time::Duration;

use diptych_kernel::{Position, ports::EventStore};
use diptych_postgres::{PostgresConfig, PostgresEventStore};
use futures::future::join;

use crate::support::{
    Database, HORIZON,
    appends::{append_one, unit},
    with_database,
};

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(1_000);
const WAIT_MAX: Duration = Duration::from_secs(20);

/// Opens a handle that never polls, so only notifications wake it.
async fn open_without_polling(database: &Database) -> PostgresEventStore {
    PostgresEventStore::open(PostgresConfig { poll_interval: LONG, ..database.config() }).await.unwrap()
}

/// Returns whether a connection listens: it is idle, and its last statement was `LISTEN` or a keepalive.
const IS_LISTENING: &str = "SELECT count(*) > 0 FROM pg_stat_activity
    WHERE datname = current_database() AND query IN ('LISTEN diptych_events', 'SELECT') AND state = 'idle'";

async fn wait(handle: &PostgresEventStore, cursor: Position) {
    let waited = tokio::time::timeout(WAIT_MAX, handle.wait_for_events(cursor, LONG)).await;
    assert!(waited.is_ok(), "an append did not wake the waiting task");
}

#[test]
fn an_append_of_another_handle_wakes_a_waiting_task() {
    with_database(|database| async move {
        let _guard = HORIZON.write().await;
        let (waiting, appending) = (open_without_polling(&database).await, database.open().await);
        let mut cursor = Position::START;
        for version in 1..=5 {
            let append = async {
                database.wait_until(IS_LISTENING).await;
                append_one(&appending, &unit("notified", version)).await.streams[0].position
            };
            cursor = join(wait(&waiting, cursor), append).await.1;
        }
    });
}

#[test]
fn an_append_succeeds_although_its_notification_fails() {
    with_database(|database| async move {
        // The notification fails: the append is stored all the same.
        database.execute("CREATE FUNCTION test.pg_notify(text, text) RETURNS void LANGUAGE sql AS 'SELECT 1/0'").await;
        let handle = database.open().await;
        append_one(&handle, &unit("not-notified", 1)).await;
        let other = database.open().await;
        wait(&other, Position::START).await;
    });
}

#[test]
fn events_are_found_by_polling_without_notifications() {
    with_database(|database| async move {
        let config = PostgresConfig { notify: false, ..database.config() };
        let waiting = PostgresEventStore::open(config.clone()).await.unwrap();
        let appending = PostgresEventStore::open(config).await.unwrap();
        let append = async { append_one(&appending, &unit("polled", 1)).await };
        join(wait(&waiting, Position::START), append).await;
        let connections = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND query LIKE '%diptych_events%' AND pid <> pg_backend_pid()";
        assert_eq!(database.row(connections, &[]).await.get::<_, i64>(0), 0, "a connection listens or notifies");
    });
}

#[test]
fn a_terminated_listener_reconnects() {
    with_database(|database| async move {
        let _guard = HORIZON.write().await;
        let (waiting, appending) = (open_without_polling(&database).await, database.open().await);
        let append = async {
            database.wait_until(IS_LISTENING).await;
            append_one(&appending, &unit("killed", 1)).await.streams[0].position
        };
        let cursor = join(wait(&waiting, Position::START), append).await.1;
        let kill = "SELECT bool_and(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
            WHERE datname = current_database() AND query IN ('LISTEN diptych_events', 'SELECT')";
        assert!(database.row(kill, &[]).await.get::<_, bool>(0));
        // It polls once the listener is back, so missed events are found, and later ones are notified.
        let missed = unit("killed", 2);
        let append = append_one(&appending, &missed);
        let cursor = join(wait(&waiting, cursor), append).await.1.streams[0].position;
        let append = async {
            database.wait_until(IS_LISTENING).await;
            append_one(&appending, &unit("killed", 3)).await
        };
        join(wait(&waiting, cursor), append).await;
    });
}

#[test]
fn invalid_notifications_are_ignored() {
    with_database(|database| async move {
        let waiting = open_without_polling(&database).await;
        let notify = async {
            database.wait_until(IS_LISTENING).await;
            database.execute("NOTIFY diptych_events, 'invalid'; NOTIFY diptych_events; NOTIFY other, '9'").await;
        };
        let waited = tokio::time::timeout(Duration::from_secs(1), waiting.wait_for_events(Position::START, LONG));
        assert!(join(waited, notify).await.0.is_err(), "an invalid notification woke the waiting task");
    });
}
