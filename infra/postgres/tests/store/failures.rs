//! Failures, and what they say about the effect.

use std::time::Duration;

use diptych_kernel::ports::{AppendOutcome, Effect, EventStore, PortError, RelayState, Remedy};
use diptych_postgres::{PostgresConfig, PostgresEventStore, testing::delay_commits};
use futures::{FutureExt, future::join};

use crate::support::{
    Database,
    batch::{find, store, store_in_vain, try_store, unit, versions},
    with_database,
};

/// Longer than any test waits.
const LONG: Duration = Duration::from_secs(30);

/// Long enough to be noticed as a commit under way.
const A_WHILE: Duration = Duration::from_millis(500);

/// Whether an append of this database is about to commit: it stands in the trigger that delays commits.
const COMMITS_SLOWLY: &str = "SELECT count(*) > 0 FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event = 'PgSleep'";

/// Makes commits take exactly this long.
async fn slow_down(database: &Database, delay: Duration) {
    delay_commits(&database.config(), delay).await.unwrap();
    database
        .execute(
            "CREATE FUNCTION test.random() RETURNS double precision LANGUAGE sql AS 'SELECT 1.0::double precision'",
        )
        .await;
}

fn assert_in_doubt(answer: Result<AppendOutcome, PortError>) {
    let error = answer.expect_err("the append fails");
    assert_eq!((error.effect(), error.remedy()), (Effect::Unknown, Remedy::Retry), "{error}");
}

#[test]
fn an_append_whose_session_is_killed_is_in_doubt() {
    with_database(|database| async move {
        slow_down(&database, LONG).await;
        let handle = database.open().await;
        let killed = unit("killed", 1);
        let kill = async {
            database.until(COMMITS_SLOWLY).await;
            let statement = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event = 'PgSleep'";
            database.execute(statement).await;
        };
        let (answer, ()) = join(try_store(&handle, &killed), kill).await;
        assert_in_doubt(answer);

        // Repeating finds out, on another connection.
        database.execute("DROP TRIGGER delay_commit ON events").await;
        store(&handle, &killed).await;
        assert_eq!(versions(&handle, "killed").await, [1]);
        let (_, done) = store_in_vain(&handle, &killed).await;
        assert_eq!(done.len(), 1);
    });
}

#[test]
fn a_silent_commit_is_in_doubt_and_not_cancelled() {
    with_database(|database| async move {
        slow_down(&database, A_WHILE).await;
        let config = PostgresConfig { answer_timeout: A_WHILE / 5, ..database.config() };
        let impatient = PostgresEventStore::open(config).await.unwrap();
        let silent = unit("silent", 1);
        assert_in_doubt(try_store(&impatient, &silent).await);

        // The repetition waits for what it repeats, and learns that it is done.
        let patient = database.open().await;
        let (_, done) = store_in_vain(&patient, &silent).await;
        assert_eq!(done.len(), 1);
        assert_eq!(versions(&patient, "silent").await, [1]);
    });
}

#[test]
fn a_commit_outlives_the_timeout_of_its_statement() {
    with_database(|database| async move {
        slow_down(&database, A_WHILE).await;
        let config = PostgresConfig { statement_timeout: A_WHILE / 5, ..database.config() };
        let handle = PostgresEventStore::open(config).await.unwrap();
        store(&handle, &unit("slow", 1)).await;
    });
}

#[test]
fn a_commit_whose_wait_was_cancelled_is_in_doubt() {
    with_database(|database| async move {
        // As the server says it: a warning between the commit and its answer, which is a success.
        database
            .execute(
                "CREATE FUNCTION test.warn() RETURNS trigger LANGUAGE plpgsql AS $$
                 BEGIN
                     RAISE WARNING 'canceling wait for synchronous replication due to user request';
                     RETURN NULL;
                 END $$;
                 CREATE CONSTRAINT TRIGGER warn AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED
                 FOR EACH ROW EXECUTE FUNCTION test.warn()",
            )
            .await;
        let handle = database.open().await;
        let warned = unit("warned", 1);
        assert_in_doubt(try_store(&handle, &warned).await);
        let (_, done) = store_in_vain(&handle, &warned).await;
        assert_eq!(done.len(), 1, "it had happened");
    });
}

#[test]
fn an_append_that_does_not_get_its_lock_was_not_done() {
    with_database(|database| async move {
        let config = PostgresConfig { lock_timeout: Duration::from_millis(50), ..database.config() };
        let handle = PostgresEventStore::open(config).await.unwrap();
        store(&handle, &unit("locked", 1)).await;
        let holder = database.connect().await;
        holder.batch_execute("BEGIN; LOCK TABLE events IN SHARE MODE").await.unwrap();
        let error = try_store(&handle, &unit("locked", 2)).await.unwrap_err();
        assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Retry), "{error}");
        assert!(error.to_string().contains("55P03"), "{error}");
        holder.batch_execute("COMMIT").await.unwrap();
        store(&handle, &unit("locked", 2)).await;
    });
}

#[test]
fn what_the_schema_forbids_needs_a_person() {
    with_database(|database| async move {
        let handle = database.open().await;
        database.execute("ALTER TABLE events ADD CONSTRAINT none CHECK (stream_id <> 'forbidden')").await;
        let error = try_store(&handle, &unit("forbidden", 1)).await.unwrap_err();
        assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Operator), "{error}");
        database.execute("DROP TABLE snapshots").await;
        let error = try_store(&handle, &unit("no-table", 1)).await.unwrap_err();
        assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Operator), "{error}");
        // Reading goes on.
        assert_eq!(handle.read_after(Default::default(), 10).await.unwrap().events.len(), 0);
    });
}

#[test]
fn questions_and_leases_survive_their_sessions() {
    with_database(|database| async move {
        let handle = database.open().await;
        let asked = unit("asked", 1);
        store(&handle, &asked).await;
        find(&handle, &asked).await.unwrap();
        handle.acquire_lease("ada", LONG).await.unwrap();
        let others = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        database.execute(others).await;
        // Where a dead connection is used before it is known to be dead, that says that a question has no effect.
        for _ in 0..20 {
            match handle.load(&[], 1, &[asked.request_id]).await {
                Ok(loaded) => {
                    assert_eq!(loaded.requests.len(), 1);
                    break;
                }
                Err(error) => assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Retry), "{error}"),
            }
        }
        find(&handle, &asked).await.unwrap();
        let lease = async {
            loop {
                match handle.acquire_lease("ada", LONG).await {
                    Ok(outcome) => return outcome,
                    Err(error) => assert_eq!(error.remedy(), Remedy::Retry, "{error}"),
                }
            }
        };
        let held = tokio::time::timeout(LONG, lease).await.unwrap();
        assert!(matches!(held, diptych_kernel::ports::LeaseOutcome::Held { .. }));
    });
}

#[test]
fn an_append_that_is_dropped_holds_nobody_up() {
    with_database(|database| async move {
        database
            .execute(
                "CREATE FUNCTION test.hold() RETURNS trigger LANGUAGE plpgsql AS $$
                 BEGIN
                     PERFORM pg_sleep(30);
                     RETURN NULL;
                 END $$;
                 CREATE CONSTRAINT TRIGGER hold AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED
                 FOR EACH ROW WHEN (NEW.stream_id = 'dropped') EXECUTE FUNCTION test.hold()",
            )
            .await;
        let config = PostgresConfig { write_connections_max: 1, ..database.config() };
        let handle = PostgresEventStore::open(config).await.unwrap();
        let dropped = unit("dropped", 1);
        {
            let append = try_store(&handle, &dropped);
            let begun = database.until(COMMITS_SLOWLY);
            let mut append = std::pin::pin!(append.fuse());
            let mut begun = std::pin::pin!(begun.fuse());
            futures::select_biased! {
                answer = append => panic!("it takes long: {answer:?}"),
                () = begun => {}
            }
        }
        // The only connection went with it, and its statement goes on by itself.
        let next = unit("next", 1);
        let stored = tokio::time::timeout(Duration::from_secs(10), store(&handle, &next)).await;
        assert!(stored.is_ok(), "an append waits behind one that was given up");
        assert!(database.row(COMMITS_SLOWLY, &[]).await.get::<_, bool>(0), "it was cancelled");
    });
}

/// The others were made to the same server, which may be one that still answers and does not lead any more.
#[test]
fn after_a_failure_no_older_connection_is_used() {
    with_database(|database| async move {
        let handle = PostgresEventStore::open(PostgresConfig { notify: false, ..database.config() }).await.unwrap();
        store(&handle, &unit("first", 1)).await;
        let older = pids(&database).await;
        assert!(older.len() >= 2, "one reads and one writes: {older:?}");
        let kill = "SELECT pg_terminate_backend($1, 10000)";
        database.row(kill, &[&older[0]]).await;
        // Until it is noticed the others are used, and then no more.
        let replaced = async {
            loop {
                // Fails where the dead connection is used before it is known to be dead.
                let _ = handle.read_after(Default::default(), 1).await;
                let _ = try_store(&handle, &unit("first", 1)).await;
                if pids(&database).await.iter().all(|pid| !older.contains(pid)) {
                    return;
                }
            }
        };
        assert!(tokio::time::timeout(LONG, replaced).await.is_ok(), "{older:?} are still in use");
    });
}

/// The processes of a handle's connections.
async fn pids(database: &Database) -> Vec<i32> {
    let statement = "SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'diptych' ORDER BY pid";
    database.client.query(statement, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}
