//! Waking up.

use std::time::Duration;

use diptych_kernel::{Position, ports::EventStore};
use diptych_postgres::{PostgresConfig, PostgresEventStore};
use futures::future::join;

use crate::support::{
    Database,
    batch::{store, unit},
    with_database,
};

/// Longer than any test waits.
const LONG: Duration = Duration::from_secs(1_000);
const BOUND: Duration = Duration::from_secs(20);

/// A handle that looks for events never, so that only being told helps.
async fn open_deaf(database: &Database) -> PostgresEventStore {
    PostgresEventStore::open(PostgresConfig { look_interval: LONG, ..database.config() }).await.unwrap()
}

/// How many connections listen. A connection that does waits for its client, and has said nothing but that.
const LISTENS: &str = "SELECT count(*) > 0 FROM pg_stat_activity
    WHERE datname = current_database() AND query IN ('LISTEN diptych_events', 'SELECT') AND state = 'idle'";

async fn wait(handle: &PostgresEventStore, cursor: Position) {
    let waited = tokio::time::timeout(BOUND, handle.wait_for_events(cursor, LONG)).await;
    assert!(waited.is_ok(), "slept through an append");
}

#[test]
fn an_append_of_another_handle_wakes_up() {
    with_database(|database| async move {
        let (waiting, appending) = (open_deaf(&database).await, database.open().await);
        let mut cursor = Position::START;
        for version in 1..=5 {
            let append = async {
                database.until(LISTENS).await;
                store(&appending, &unit("told", version)).await.streams[0].position
            };
            cursor = join(wait(&waiting, cursor), append).await.1;
        }
    });
}

#[test]
fn nobody_is_told_before_the_commit_and_the_append_waits_for_nobody() {
    with_database(|database| async move {
        // A notification cannot be sent: the append is done all the same.
        database.execute("CREATE FUNCTION test.pg_notify(text, text) RETURNS void LANGUAGE sql AS 'SELECT 1/0'").await;
        let handle = database.open().await;
        store(&handle, &unit("untold", 1)).await;
        let other = database.open().await;
        wait(&other, Position::START).await;
    });
}

#[test]
fn without_notifications_looking_helps() {
    with_database(|database| async move {
        let config = PostgresConfig { notify: false, ..database.config() };
        let waiting = PostgresEventStore::open(config.clone()).await.unwrap();
        let appending = PostgresEventStore::open(config).await.unwrap();
        let append = async { store(&appending, &unit("looked-for", 1)).await };
        join(wait(&waiting, Position::START), append).await;
        let connections = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND query LIKE '%diptych_events%' AND pid <> pg_backend_pid()";
        assert_eq!(database.row(connections, &[]).await.get::<_, i64>(0), 0, "nobody listens or tells");
    });
}

#[test]
fn a_listener_that_was_killed_comes_back() {
    with_database(|database| async move {
        let (waiting, appending) = (open_deaf(&database).await, database.open().await);
        let append = async {
            database.until(LISTENS).await;
            store(&appending, &unit("killed", 1)).await.streams[0].position
        };
        let cursor = join(wait(&waiting, Position::START), append).await.1;
        let kill = "SELECT bool_and(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
            WHERE datname = current_database() AND query IN ('LISTEN diptych_events', 'SELECT')";
        assert!(database.row(kill, &[]).await.get::<_, bool>(0));
        // It looks when the listener is back, so what was missed is found, and what comes is told.
        let missed = unit("killed", 2);
        let append = store(&appending, &missed);
        let cursor = join(wait(&waiting, cursor), append).await.1.streams[0].position;
        let append = async {
            database.until(LISTENS).await;
            store(&appending, &unit("killed", 3)).await
        };
        join(wait(&waiting, cursor), append).await;
    });
}

#[test]
fn what_others_say_is_not_believed() {
    with_database(|database| async move {
        let waiting = open_deaf(&database).await;
        let talk = async {
            database.until(LISTENS).await;
            database.execute("NOTIFY diptych_events, 'nonsense'; NOTIFY diptych_events; NOTIFY other, '9'").await;
        };
        let bored = tokio::time::timeout(Duration::from_secs(1), waiting.wait_for_events(Position::START, LONG));
        assert!(join(bored, talk).await.0.is_err(), "woke up for nonsense");
    });
}
