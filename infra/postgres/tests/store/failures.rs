//! Failures, and the effects that they report.

use std::time::Duration;

use diptych_kernel::ports::{AppendOutcome, Effect, EventStore, PortError, RelayState, Remedy};
use diptych_postgres::{PostgresConfig, PostgresEventStore, testing::delay_commits};
use futures::{FutureExt, future::join};

use crate::support::{
    Database, HORIZON,
    appends::{append_one, append_rejected, find_request, stream_versions, try_append, unit},
    with_database,
};

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(30);

/// Duration of a commit that outlasts [`SHORT_TIMEOUT`].
const A_WHILE: Duration = Duration::from_secs(6);

/// Longer than any statement takes on a slow machine, unless it is delayed.
const SHORT_TIMEOUT: Duration = Duration::from_secs(2);

/// Returns whether an append of this database is about to commit: it runs the trigger that delays commits.
const COMMIT_IS_DELAYED: &str = "SELECT count(*) > 0 FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event = 'PgSleep'";

/// Makes commits take exactly this long.
async fn delay_every_commit(database: &Database, delay: Duration) {
    delay_commits(&database.config(), delay).await.unwrap();
    database
        .execute(
            "CREATE FUNCTION test.random() RETURNS double precision LANGUAGE sql AS 'SELECT 1.0::double precision'",
        )
        .await;
}

/// Timeouts that do not expire in a test.
fn patient(config: PostgresConfig) -> PostgresConfig {
    PostgresConfig { lock_timeout: LONG, statement_timeout: LONG, answer_timeout: 2 * LONG, ..config }
}

fn assert_outcome_unknown(answer: Result<AppendOutcome, PortError>) {
    let error = answer.expect_err("the append fails");
    assert_eq!((error.effect(), error.remedy()), (Effect::Unknown, Remedy::Retry), "{error}");
}

#[test]
fn an_append_whose_session_is_terminated_has_an_unknown_outcome() {
    with_database(|database| async move {
        let _guard = HORIZON.read().await;
        delay_every_commit(&database, LONG).await;
        let handle = database.open().await;
        let killed = unit("killed", 1);
        let kill = async {
            database.wait_until(COMMIT_IS_DELAYED).await;
            let statement = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event = 'PgSleep'";
            database.execute(statement).await;
        };
        let (answer, ()) = join(try_append(&handle, &killed), kill).await;
        assert_outcome_unknown(answer);

        // A retry on another connection resolves the outcome.
        database.execute("DROP TRIGGER delay_commit ON events").await;
        append_one(&handle, &killed).await;
        assert_eq!(stream_versions(&handle, "killed").await, [1]);
        let (_, done) = append_rejected(&handle, &killed).await;
        assert_eq!(done.len(), 1);
    });
}

#[test]
fn a_commit_that_times_out_has_an_unknown_outcome_and_is_not_cancelled() {
    with_database(|database| async move {
        let _guard = HORIZON.read().await;
        delay_every_commit(&database, A_WHILE).await;
        let config = PostgresConfig { answer_timeout: SHORT_TIMEOUT, ..database.config() };
        let with_timeout = PostgresEventStore::open(config).await.unwrap();
        let silent = unit("silent", 1);
        assert_outcome_unknown(try_append(&with_timeout, &silent).await);

        // The retry waits for the first attempt, and finds that it is done.
        let other = PostgresEventStore::open(patient(database.config())).await.unwrap();
        let (_, done) = append_rejected(&other, &silent).await;
        assert_eq!(done.len(), 1);
        assert_eq!(stream_versions(&other, "silent").await, [1]);
    });
}

#[test]
fn a_commit_may_take_longer_than_the_statement_timeout() {
    with_database(|database| async move {
        let _guard = HORIZON.read().await;
        delay_every_commit(&database, A_WHILE).await;
        let config = PostgresConfig { statement_timeout: SHORT_TIMEOUT, ..patient(database.config()) };
        let handle = PostgresEventStore::open(config).await.unwrap();
        append_one(&handle, &unit("slow", 1)).await;
    });
}

/// Makes the server send this warning between every commit and its answer, which is a success.
async fn warn_at_every_commit(database: &Database, warning: &str) {
    database
        .execute(&format!(
            "CREATE FUNCTION test.warn() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 RAISE WARNING '{warning}';
                 RETURN NULL;
             END $$;
             CREATE CONSTRAINT TRIGGER warn AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION test.warn()"
        ))
        .await;
}

#[test]
fn a_commit_whose_standby_wait_was_cancelled_has_an_unknown_outcome() {
    with_database(|database| async move {
        let _guard = HORIZON.read().await;
        // The server's words.
        warn_at_every_commit(&database, "canceling wait for synchronous replication due to user request").await;
        let handle = database.open().await;
        let warned = unit("warned", 1);
        assert_outcome_unknown(try_append(&handle, &warned).await);
        let (_, done) = append_rejected(&handle, &warned).await;
        assert_eq!(done.len(), 1, "it was committed");
    });
}

/// Near the wraparound of transaction ids, or after an upgrade of its collations, the server warns at every statement.
#[test]
fn a_warning_about_something_else_leaves_no_doubt_about_a_commit() {
    with_database(|database| async move {
        let _guard = HORIZON.read().await;
        warn_at_every_commit(&database, "database must be vacuumed within 39999999 transactions").await;
        let handle = database.open().await;
        append_one(&handle, &unit("warned", 1)).await;
    });
}

#[test]
fn an_append_without_its_lock_has_no_effect() {
    with_database(|database| async move {
        let _guard = HORIZON.read().await;
        let config = PostgresConfig { lock_timeout: Duration::from_millis(50), ..database.config() };
        let handle = PostgresEventStore::open(config).await.unwrap();
        append_one(&handle, &unit("locked", 1)).await;
        let holder = database.connect().await;
        holder.batch_execute("BEGIN; LOCK TABLE events IN SHARE MODE").await.unwrap();
        let error = try_append(&handle, &unit("locked", 2)).await.unwrap_err();
        assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Retry), "{error}");
        assert!(error.to_string().contains("55P03"), "{error}");
        holder.batch_execute("COMMIT").await.unwrap();
        append_one(&handle, &unit("locked", 2)).await;
    });
}

#[test]
fn schema_violations_are_for_the_operator() {
    with_database(|database| async move {
        let handle = database.open().await;
        database.execute("ALTER TABLE events ADD CONSTRAINT none CHECK (stream_id <> 'forbidden')").await;
        let error = try_append(&handle, &unit("forbidden", 1)).await.unwrap_err();
        assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Operator), "{error}");
        database.execute("DROP TABLE snapshots").await;
        let error = try_append(&handle, &unit("no-table", 1)).await.unwrap_err();
        assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Operator), "{error}");
        // Reads still work.
        assert_eq!(handle.read_after(Default::default(), 10).await.unwrap().events.len(), 0);
    });
}

#[test]
fn reads_and_leases_survive_their_sessions() {
    with_database(|database| async move {
        let handle = database.open().await;
        let asked = unit("asked", 1);
        append_one(&handle, &asked).await;
        find_request(&handle, &asked).await.unwrap();
        handle.acquire_lease("ada", LONG).await.unwrap();
        let others = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        database.execute(others).await;
        // If a broken connection is used before it is detected, the error of a read reports no effect.
        for _ in 0..20 {
            match handle.load(&[], 1, &[asked.request_id]).await {
                Ok(loaded) => {
                    assert_eq!(loaded.requests.len(), 1);
                    break;
                }
                Err(error) => assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Retry), "{error}"),
            }
        }
        find_request(&handle, &asked).await.unwrap();
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
fn a_dropped_append_does_not_block_other_appends() {
    with_database(|database| async move {
        let _guard = HORIZON.read().await;
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
            let append = try_append(&handle, &dropped);
            let begun = database.wait_until(COMMIT_IS_DELAYED);
            let mut append = std::pin::pin!(append.fuse());
            let mut begun = std::pin::pin!(begun.fuse());
            futures::select_biased! {
                answer = append => panic!("the append has ended already: {answer:?}"),
                () = begun => {}
            }
        }
        // The only connection was closed with it, and its statement continues on the server.
        let next = unit("next", 1);
        let stored = tokio::time::timeout(Duration::from_secs(10), append_one(&handle, &next)).await;
        assert!(stored.is_ok(), "an append waits behind one that was dropped");
        assert!(database.row(COMMIT_IS_DELAYED, &[]).await.get::<_, bool>(0), "the dropped append was cancelled");
    });
}

/// The others were opened to the same server, which may still answer and be no primary any more.
#[test]
fn no_older_connection_is_used_after_a_failure() {
    with_database(|database| async move {
        let handle = PostgresEventStore::open(PostgresConfig { notify: false, ..database.config() }).await.unwrap();
        append_one(&handle, &unit("first", 1)).await;
        let older = pids(&database).await;
        assert!(older.len() >= 2, "one reads and one writes: {older:?}");
        let kill = "SELECT pg_terminate_backend($1, 10000)";
        database.row(kill, &[&older[0]]).await;
        // The others are used until the failure is detected, and not after.
        let replaced = async {
            loop {
                // Fails if the broken connection is used before it is detected.
                let _ = handle.read_after(Default::default(), 1).await;
                let _ = try_append(&handle, &unit("first", 1)).await;
                if pids(&database).await.iter().all(|pid| !older.contains(pid)) {
                    return;
                }
            }
        };
        assert!(tokio::time::timeout(LONG, replaced).await.is_ok(), "{older:?} are still in use");
    });
}

/// The process ids of a handle's connections.
async fn pids(database: &Database) -> Vec<i32> {
    let statement = "SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'diptych' ORDER BY pid";
    database.client.query(statement, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}
