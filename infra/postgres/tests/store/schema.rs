//! Creating and upgrading the schema, and refusing unsupported ones.

use std::sync::Arc;

use diptych_kernel::{
    Partitions,
    ports::{Effect, EventStore, PortError, Remedy},
};
use diptych_postgres::{PostgresEventStore, migrate};
use futures::future::{join, join_all};
use refinery::{Migration, Runner};

use crate::support::{
    Database, PARTITIONS,
    appends::{append_one, append_rejected, stream_versions, unit},
    partitions, run, test_server_url, with_database,
};

/// The version of the schema that this program creates.
const NEWEST_VERSION: usize = 10;

/// Runs a test on a database without tables.
fn with_empty_database<T: Future<Output = ()>>(test: impl FnOnce(Arc<Database>) -> T) {
    let Some(server) = test_server_url() else { return };
    run(async { test(Arc::new(Database::create(&server).await)).await });
}

async fn open_error(database: &Database) -> PortError {
    let error = PostgresEventStore::open(database.config()).await.err().expect("it is refused");
    assert_eq!((error.remedy(), error.effect()), (Remedy::Operator, Effect::None), "{error}");
    error
}

#[test]
fn a_database_without_tables_is_refused() {
    with_empty_database(|database| async move {
        let error = open_error(&database).await;
        assert!(error.to_string().contains("run `diptych migrate`"), "{error}");
    });
}

#[test]
fn an_older_schema_is_refused_until_it_is_upgraded() {
    with_empty_database(|database| async move {
        // As created by a program that has the first migration only.
        let first = Migration::unapplied("V1__events", include_str!("../../migrations/V1__events.sql")).unwrap();
        let mut client = database.connect().await;
        Runner::new(&[first]).run_async(&mut client).await.unwrap();
        database.execute(&format!("INSERT INTO installation (partitions) VALUES ({PARTITIONS})")).await;
        database
            .execute(
                "INSERT INTO events (
                     position, recorded_at, version, request_id, partition, stream_id, event_type, payload
                 )
                 VALUES (1, now(), 1, gen_random_uuid(), 0, 'old', 'test.Happened', '')",
            )
            .await;

        let error = open_error(&database).await;
        assert!(error.to_string().contains("schema 1"), "{error}");
        assert!(error.to_string().contains("run `diptych migrate`"), "{error}");

        let migrated = migrate(&database.config(), partitions()).await.unwrap();
        assert_eq!((migrated.applied, migrated.version), (NEWEST_VERSION - 1, NEWEST_VERSION));
        let handle = database.open().await;
        // The existing event counts for the version of its stream.
        let (conflicts, _) = append_rejected(&handle, &unit("old", 1)).await;
        assert_eq!(conflicts[0].actual.number(), 1);
        append_one(&handle, &unit("old", 2)).await;
        assert_eq!(stream_versions(&handle, "old").await, [1, 2], "existing events are kept");
    });
}

/// An append of a program of an earlier version ends while the migration waits for it.
#[test]
fn an_append_that_ends_during_an_upgrade_counts_for_the_version_of_its_stream() {
    with_empty_database(|database| async move {
        let mut client = database.connect().await;
        let before: Vec<Migration> = [
            ("V1__events", include_str!("../../migrations/V1__events.sql")),
            ("V2__relay", include_str!("../../migrations/V2__relay.sql")),
            ("V3__histories", include_str!("../../migrations/V3__histories.sql")),
        ]
        .map(|(name, sql)| Migration::unapplied(name, sql).unwrap())
        .into();
        Runner::new(&before).run_async(&mut client).await.unwrap();
        database.execute(&format!("INSERT INTO installation (partitions) VALUES ({PARTITIONS})")).await;
        let append = "BEGIN; INSERT INTO events (
                position, recorded_at, version, request_id, partition, stream_id, event_type, payload
            ) VALUES (1, now(), 1, gen_random_uuid(), 0, 'running', 'test.Happened', '')";
        client.batch_execute(append).await.unwrap();
        let commit = async {
            let waits = "SELECT count(*) > 0 FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event = 'relation'";
            database.wait_until(waits).await;
            client.batch_execute("COMMIT").await.unwrap();
        };
        let config = database.config();
        let (migrated, ()) = join(migrate(&config, partitions()), commit).await;
        migrated.unwrap();
        let handle = database.open().await;
        let (conflicts, _) = append_rejected(&handle, &unit("running", 1)).await;
        assert_eq!(conflicts[0].actual.number(), 1);
        append_one(&handle, &unit("running", 2)).await;
    });
}

/// Appends wait behind a migration that waits, so it gives up early.
#[test]
fn an_upgrade_that_waits_too_long_for_a_lock_can_be_tried_again() {
    with_empty_database(|database| async move {
        let first = Migration::unapplied("V1__events", include_str!("../../migrations/V1__events.sql")).unwrap();
        let mut client = database.connect().await;
        Runner::new(&[first]).run_async(&mut client).await.unwrap();
        client.batch_execute("BEGIN; LOCK TABLE events IN ACCESS SHARE MODE").await.unwrap();
        let error = migrate(&database.config(), partitions()).await.unwrap_err();
        assert_ne!(error.remedy(), Remedy::Operator, "{error}");
        assert_eq!(error.effect(), Effect::None);
        assert!(error.to_string().contains("waited too long"), "{error}");
        client.batch_execute("COMMIT").await.unwrap();
        assert_eq!(migrate(&database.config(), partitions()).await.unwrap().version, NEWEST_VERSION);
    });
}

/// A migration of a newer program, which this one has not.
const LATER_MIGRATION: &str =
    "INSERT INTO refinery_schema_history (version, name, applied_on, checksum) VALUES (1000, 'later', now(), '0')";

#[test]
fn a_newer_schema_that_keeps_earlier_programs_is_used() {
    with_database(|database| async move {
        let handle = database.open().await;
        append_one(&handle, &unit("before", 1)).await;
        database.execute(&format!("ALTER TABLE events ADD COLUMN later text; {LATER_MIGRATION}")).await;
        append_one(&handle, &unit("before", 2)).await;

        // As after a rollback: the migrations of the earlier program run again, then its services start.
        let migrated = migrate(&database.config(), partitions()).await.unwrap();
        assert_eq!((migrated.applied, migrated.version), (0, 1000));
        let reopened = database.open().await;
        append_one(&reopened, &unit("before", 3)).await;
        assert_eq!(stream_versions(&reopened, "before").await, [1, 2, 3]);
    });
}

#[test]
fn a_newer_schema_that_earlier_programs_cannot_use_is_refused() {
    with_database(|database| async move {
        database
            .execute(&format!("{LATER_MIGRATION}; UPDATE program_schema_min SET version = {}", NEWEST_VERSION + 1))
            .await;
        let migrated = migrate(&database.config(), partitions()).await.unwrap_err();
        assert_eq!((migrated.remedy(), migrated.effect()), (Remedy::Operator, Effect::None), "{migrated}");
        for error in [open_error(&database).await, migrated] {
            let (newer, own) = (format!("schema {} or newer", NEWEST_VERSION + 1), format!("is for {NEWEST_VERSION}"));
            for part in ["schema 1000", &newer, &own, "use a newer version"] {
                assert!(error.to_string().contains(part), "{part:?} is not in: {error}");
            }
        }
    });
}

#[test]
fn an_incomplete_migration_is_refused() {
    with_database(|database| async move {
        database.execute("DELETE FROM installation").await;
        let error = open_error(&database).await;
        assert!(error.to_string().contains("run `diptych migrate`"), "{error}");
        migrate(&database.config(), partitions()).await.unwrap();
        assert_eq!(database.open().await.partitions(), partitions());
    });
}

#[test]
fn repeated_and_concurrent_migrations_are_applied_once() {
    with_empty_database(|database| async move {
        let config = database.config();
        let migrations = join_all((0..4).map(|_| migrate(&config, partitions()))).await;
        let applied: Vec<usize> = migrations.into_iter().map(|migrated| migrated.unwrap().applied).collect();
        assert_eq!(
            applied.iter().sum::<usize>(),
            NEWEST_VERSION,
            "one call applies them, and the others wait for it: {applied:?}"
        );
        let again = migrate(&config, partitions()).await.unwrap();
        assert_eq!((again.applied, again.version), (0, NEWEST_VERSION));
    });
}

#[test]
fn the_number_of_partitions_cannot_change() {
    with_database(|database| async move {
        let error = migrate(&database.config(), Partitions::new(PARTITIONS + 1).unwrap()).await.unwrap_err();
        assert_eq!(error.remedy(), Remedy::Operator);
        assert!(error.to_string().contains("created with 4 partitions, but 5 are configured"), "{error}");
        assert_eq!(database.open().await.partitions(), partitions());
    });
}
