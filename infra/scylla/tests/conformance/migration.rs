//! Migrations, and the checks of opening.

use diptych_kernel::{
    Partitions,
    ports::{Effect, PortError, Remedy},
    vocabulary::Installation,
};
use diptych_scylla::{MigrationReport, ScyllaConfig, ScyllaViewStore, migrate};
use futures::future::join_all;

use crate::test_env::{RawSession, fresh_config, installation, remove};

/// The version of the schema that this program creates.
const NEWEST_VERSION: usize = 5;

/// Opens the store in both ways, which must give the same error.
async fn open(config: &ScyllaConfig) -> Result<ScyllaViewStore, PortError> {
    let with_stored = ScyllaViewStore::open_with_stored_installation(config.clone()).await;
    let opened = ScyllaViewStore::open(config.clone(), installation()).await;
    let message = |result: &Result<_, PortError>| result.as_ref().err().map(ToString::to_string);
    assert_eq!(message(&with_stored), message(&opened));
    opened
}

/// Asserts that the error is for an operator and contains these texts.
fn assert_operator_error<T>(result: Result<T, PortError>, texts: &[&str]) {
    let Err(error) = result else { panic!("an error was expected, with {texts:?}") };
    assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Operator), "{error}");
    for text in texts {
        assert!(error.to_string().contains(text), "{text:?} is not in: {error}");
    }
}

/// Several cases on one keyspace; each restores it.
#[tokio::test]
async fn a_migrated_keyspace_is_checked() {
    let Some(config) = fresh_config() else { return };
    let first = migrate(&config, installation()).await.unwrap();
    assert_eq!(first, MigrationReport { applied: NEWEST_VERSION, version: NEWEST_VERSION });
    let session = RawSession::in_keyspace(&config).await;
    migrating_again_changes_nothing(&config, &session).await;
    the_number_of_partitions_never_changes(&config).await;
    the_stored_number_of_partitions_is_used(&config, &session).await;
    another_data_centre_than_the_recorded_one_is_refused(&config, &session).await;
    a_changed_migration_is_refused(&config, &session).await;
    a_newer_schema_is_used_unless_it_excludes_earlier_programs(&config, &session).await;
    a_crashed_lock_holder_is_waited_for(&config, &session).await;
    open(&config).await.unwrap();
    remove(&config).await;
}

async fn migrating_again_changes_nothing(config: &ScyllaConfig, session: &RawSession) {
    let again = migrate(config, installation()).await.unwrap();
    assert_eq!(again, MigrationReport { applied: 0, version: NEWEST_VERSION });
    open(config).await.unwrap();
    let replication =
        format!("SELECT replication['class'] FROM system_schema.keyspaces WHERE keyspace_name = '{}'", config.keyspace);
    let rows: Vec<(String,)> = session.rows(&replication).await;
    assert!(rows[0].0.ends_with("NetworkTopologyStrategy"), "{rows:?}");
}

async fn the_number_of_partitions_never_changes(config: &ScyllaConfig) {
    let others = &Installation { partitions: Partitions::new(17).unwrap(), ..installation().clone() };
    assert_operator_error(migrate(config, others).await, &["16 partitions", "17 are configured"]);
    assert_operator_error(ScyllaViewStore::open(config.clone(), others).await, &["16 partitions", "17 are configured"]);
}

/// The query service uses it, as it has no write database that stores it.
async fn the_stored_number_of_partitions_is_used(config: &ScyllaConfig, session: &RawSession) {
    assert_eq!(
        ScyllaViewStore::open_with_stored_installation(config.clone()).await.unwrap().installation(),
        installation()
    );
    for invalid in [0, -1, 257] {
        session.run(&format!("UPDATE installation SET partitions = {invalid} WHERE id = 0")).await;
        let expected = format!("{invalid} partitions");
        assert_operator_error(
            ScyllaViewStore::open_with_stored_installation(config.clone()).await,
            &[&expected, "changed by another program"],
        );
    }
    session.run("UPDATE installation SET partitions = 16 WHERE id = 0").await;
}

async fn another_data_centre_than_the_recorded_one_is_refused(config: &ScyllaConfig, session: &RawSession) {
    let local: Vec<(String,)> = session.rows("SELECT data_center FROM system.local").await;
    let recorded: Vec<(String,)> = session.rows("SELECT datacenter FROM installation_datacenter").await;
    assert_eq!(recorded, local);
    session.run("UPDATE installation_datacenter SET datacenter = 'atlantis' WHERE id = 0").await;
    let expected = ["LOCAL_QUORUM in data centre atlantis", local[0].0.as_str(), "scylla.datacenter"];
    assert_operator_error(open(config).await, &expected);
    assert_operator_error(migrate(config, installation()).await, &expected);
    session.run("DELETE FROM installation_datacenter WHERE id = 0").await;
    assert_operator_error(open(config).await, &["is incomplete", "run `diptych migrate`"]);
    migrate(config, installation()).await.unwrap();
}

async fn a_changed_migration_is_refused(config: &ScyllaConfig, session: &RawSession) {
    let checksum: Vec<(String,)> =
        session.rows("SELECT checksum FROM schema_migrations WHERE part = 'views' AND version = 1").await;
    let set = async |checksum: &str| {
        let update =
            format!("UPDATE schema_migrations SET checksum = '{checksum}' WHERE part = 'views' AND version = 1");
        session.run(&update).await;
    };
    set("abc").await;
    assert_operator_error(
        migrate(config, installation()).await,
        &["0001_progress", "abc", &checksum[0].0, "must not change"],
    );
    set(&checksum[0].0).await;
}

/// As after a rollback: an earlier program finds the schema of a later one.
async fn a_newer_schema_is_used_unless_it_excludes_earlier_programs(config: &ScyllaConfig, session: &RawSession) {
    session
        .run("INSERT INTO schema_migrations (part, version, name, checksum) VALUES ('views', 99, '0099_later', 'abc')")
        .await;
    let migrated = migrate(config, installation()).await.unwrap();
    assert_eq!(migrated, MigrationReport { applied: 0, version: 99 });
    open(config).await.unwrap();

    let set = async |version: usize| {
        let table = "installation_program_schema_min";
        session.run(&format!("UPDATE {table} SET program_schema_min = {version} WHERE id = 0")).await;
    };
    set(NEWEST_VERSION + 1).await;
    let expected = ["schema 99", "schema 6 or newer", "is for 5", "use a newer version"];
    assert_operator_error(migrate(config, installation()).await, &expected);
    assert_operator_error(open(config).await, &expected);
    set(NEWEST_VERSION).await;
    session.run("DELETE FROM schema_migrations WHERE part = 'views' AND version = 99").await;
}

/// Migrations wait for a crashed holder until its lock expires, and no longer.
async fn a_crashed_lock_holder_is_waited_for(config: &ScyllaConfig, session: &RawSession) {
    session.run("DELETE FROM schema_migrations WHERE part = 'views'").await;
    let begin = tokio::time::Instant::now();
    session.run("INSERT INTO schema_lock (part, holder) VALUES ('views', uuid()) IF NOT EXISTS USING TTL 2").await;
    let migrated = migrate(config, installation()).await.unwrap();
    assert_eq!(migrated.applied, NEWEST_VERSION);
    assert!(begin.elapsed().as_millis() >= 1_000, "the migration did not wait for the lock");
}

#[tokio::test]
async fn concurrent_migrations_are_applied_once() {
    let Some(config) = fresh_config() else { return };
    let migrated = join_all((0..4).map(|_| migrate(&config, installation()))).await;
    let applied: usize = migrated.iter().map(|migrated| migrated.as_ref().unwrap().applied).sum();
    assert_eq!(applied, NEWEST_VERSION, "{migrated:?}");
    open(&config).await.unwrap();
    let locks: Vec<(String,)> = RawSession::in_keyspace(&config).await.rows("SELECT part FROM schema_lock").await;
    assert_eq!(locks, [], "the lock is released");
    remove(&config).await;
}

#[tokio::test]
async fn a_keyspace_that_is_not_migrated_cannot_be_opened() {
    let Some(config) = fresh_config() else { return };
    assert_operator_error(
        open(&config).await,
        &[&config.keyspace, &config.contact_points[0], "does not exist", "run `diptych migrate`"],
    );
    let session = RawSession::new(&config).await;
    let replication = "{'class': 'NetworkTopologyStrategy', 'replication_factor': 1}";
    session.run(&format!("CREATE KEYSPACE {} WITH replication = {replication}", config.keyspace)).await;
    assert_operator_error(open(&config).await, &[&config.keyspace, "run `diptych migrate`"]);

    migrate(&config, installation()).await.unwrap();
    let session = RawSession::in_keyspace(&config).await;
    session.run("DELETE FROM installation WHERE id = 0").await;
    assert_operator_error(open(&config).await, &["is incomplete", "run `diptych migrate`"]);
    session.run("DELETE FROM schema_migrations WHERE part = 'views'").await;
    assert_operator_error(open(&config).await, &["schema 0", "older", "run `diptych migrate`"]);

    // Existing tables do not disturb a migration that starts again.
    let again = migrate(&config, installation()).await.unwrap();
    assert_eq!(again.applied, NEWEST_VERSION);
    open(&config).await.unwrap();
    remove(&config).await;
}

#[tokio::test]
async fn more_replicas_than_nodes_are_refused() {
    let Some(config) = fresh_config() else { return };
    let many = ScyllaConfig { replication_factor: 200, ..config.clone() };
    assert_operator_error(migrate(&many, installation()).await, &["replication_factor is 200"]);
    let elsewhere = ScyllaConfig { datacenter: Some("atlantis".into()), ..config.clone() };
    assert_operator_error(migrate(&elsewhere, installation()).await, &["atlantis"]);
    migrate(&config, installation()).await.unwrap();
    assert_operator_error(open(&elsewhere).await, &["atlantis"]);

    // In the existing data centre.
    let session = RawSession::new(&config).await;
    let local: Vec<(String,)> = session.rows("SELECT data_center FROM system.local").await;
    let here = ScyllaConfig { datacenter: Some(local[0].0.clone()), ..fresh_config().unwrap() };
    migrate(&here, installation()).await.unwrap();
    open(&here).await.unwrap();
    remove(&here).await;
    remove(&config).await;
}

#[tokio::test]
async fn an_unreachable_server_is_named_and_may_be_retried() {
    // No server listens on this port.
    let config = ScyllaConfig::new(vec!["127.0.0.1:1".into()], "diptych");
    for error in [open(&config).await.err(), migrate(&config, installation()).await.err()] {
        let error = error.unwrap();
        assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Retry), "{error}");
        for part in ["127.0.0.1:1", "scylla.contact_points", "keyspace diptych"] {
            assert!(error.to_string().contains(part), "{part:?} is not in: {error}");
        }
    }
}

#[tokio::test]
async fn invalid_settings_are_reported_before_connecting() {
    let config = ScyllaConfig { keyspace: "No Such".into(), ..ScyllaConfig::new(Vec::new(), "") };
    assert_operator_error(open(&config).await, &["contact_points", "No Such"]);
    assert_operator_error(migrate(&config, installation()).await, &["contact_points", "No Such"]);
}
