//! Making and upgrading the schema, and refusing others.

use std::sync::Arc;

use diptych_kernel::{
    Partitions,
    ports::{Effect, EventStore, PortError, Remedy},
};
use diptych_postgres::{Migrated, PostgresEventStore, migrate};
use futures::future::join_all;
use refinery::{Migration, Runner};

use crate::support::{
    Database, PARTITIONS,
    batch::{store, unit, versions},
    partitions, run, server_url, with_database,
};

/// Runs a test on a database without tables.
fn with_empty_database<T: Future<Output = ()>>(test: impl FnOnce(Arc<Database>) -> T) {
    let Some(server) = server_url() else { return };
    run(async { test(Arc::new(Database::create(&server).await)).await });
}

async fn refusal(database: &Database) -> PortError {
    let error = PostgresEventStore::open(database.config()).await.err().expect("it is refused");
    assert_eq!((error.remedy(), error.effect()), (Remedy::Operator, Effect::None), "{error}");
    error
}

#[test]
fn a_database_without_tables_is_refused() {
    with_empty_database(|database| async move {
        let error = refusal(&database).await;
        assert!(error.to_string().contains("run `diptych migrate`"), "{error}");
    });
}

#[test]
fn an_older_schema_is_refused_until_it_is_upgraded() {
    with_empty_database(|database| async move {
        // As a program left it that knew the first migration only.
        let first = Migration::unapplied("V1__events", include_str!("../../migrations/V1__events.sql")).unwrap();
        let mut client = database.connect().await;
        Runner::new(&[first]).run_async(&mut client).await.unwrap();
        database.execute(&format!("INSERT INTO installation (partitions) VALUES ({PARTITIONS})")).await;
        database
            .execute(
                "INSERT INTO events (position, recorded_at, version, request_id, partition, stream_id, event_type, payload)
                 VALUES (1, now(), 1, gen_random_uuid(), 0, 'old', 'test.Happened', '')",
            )
            .await;

        let error = refusal(&database).await;
        assert!(error.to_string().contains("schema 1"), "{error}");
        assert!(error.to_string().contains("run `diptych migrate`"), "{error}");

        let migrated = migrate(&database.config(), partitions()).await.unwrap();
        assert_eq!(migrated, Migrated { applied: 1, version: 2 });
        let handle = database.open().await;
        store(&handle, &unit("old", 2)).await;
        assert_eq!(versions(&handle, "old").await, [1, 2], "what was there is there");
    });
}

#[test]
fn a_newer_schema_is_refused() {
    with_database(|database| async move {
        database.execute("INSERT INTO refinery_schema_history (version, name) VALUES (3, 'of_tomorrow')").await;
        let error = refusal(&database).await;
        assert!(error.to_string().contains("use a newer version"), "{error}");
    });
}

#[test]
fn a_half_made_database_is_refused() {
    with_database(|database| async move {
        database.execute("DELETE FROM installation").await;
        let error = refusal(&database).await;
        assert!(error.to_string().contains("run `diptych migrate`"), "{error}");
        migrate(&database.config(), partitions()).await.unwrap();
        assert_eq!(database.open().await.partitions(), partitions());
    });
}

#[test]
fn migrating_again_changes_nothing_and_together_is_as_good_as_once() {
    with_empty_database(|database| async move {
        let config = database.config();
        let migrations = join_all((0..4).map(|_| migrate(&config, partitions()))).await;
        let applied: Vec<usize> = migrations.into_iter().map(|migrated| migrated.unwrap().applied).collect();
        assert_eq!(applied.iter().sum::<usize>(), 2, "one does it, and the others wait for it: {applied:?}");
        assert_eq!(migrate(&config, partitions()).await.unwrap(), Migrated { applied: 0, version: 2 });
    });
}

#[test]
fn the_number_of_partitions_stays() {
    with_database(|database| async move {
        let error = migrate(&database.config(), Partitions::new(PARTITIONS + 1).unwrap()).await.unwrap_err();
        assert_eq!(error.remedy(), Remedy::Operator);
        assert!(error.to_string().contains("made with 4 partitions, but 5 are configured"), "{error}");
        assert_eq!(database.open().await.partitions(), partitions());
    });
}
