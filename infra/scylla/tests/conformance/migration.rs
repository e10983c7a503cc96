//! The schema, and who may use it.

use diptych_kernel::{
    Partitions,
    ports::{Effect, PortError, Remedy},
};
use diptych_scylla::{Migrated, ScyllaConfig, ScyllaViewStore, migrate};
use futures::future::join_all;

use crate::test_env::{Meddler, fresh_config, partitions, remove};

/// Opens it in both ways, which find the same wrong.
async fn open(config: &ScyllaConfig) -> Result<ScyllaViewStore, PortError> {
    let as_made = ScyllaViewStore::open_as_made(config.clone()).await;
    let opened = ScyllaViewStore::open(config.clone(), partitions()).await;
    let said = |result: &Result<_, PortError>| result.as_ref().err().map(ToString::to_string);
    assert_eq!(said(&as_made), said(&opened));
    opened
}

/// The error is for an operator, and says this.
fn assert_says<T>(result: Result<T, PortError>, texts: &[&str]) {
    let Err(error) = result else { panic!("this was to be refused, for {texts:?}") };
    assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Operator), "{error}");
    for text in texts {
        assert!(error.to_string().contains(text), "{text:?} is not in: {error}");
    }
}

/// One after the other on one keyspace, which is as before after each.
#[tokio::test]
async fn what_was_migrated_is_guarded() {
    let Some(config) = fresh_config() else { return };
    let first = migrate(&config, partitions()).await.unwrap();
    assert_eq!(first, Migrated { applied: 1, version: 1 });
    let meddler = Meddler::inside(&config).await;
    migrating_again_changes_nothing(&config, &meddler).await;
    the_number_of_partitions_never_changes(&config).await;
    the_number_of_partitions_is_told(&config, &meddler).await;
    a_changed_migration_is_refused(&config, &meddler).await;
    a_newer_schema_is_refused(&config, &meddler).await;
    a_dead_holder_of_the_lock_is_waited_for(&config, &meddler).await;
    open(&config).await.unwrap();
    remove(&config).await;
}

async fn migrating_again_changes_nothing(config: &ScyllaConfig, meddler: &Meddler) {
    let again = migrate(config, partitions()).await.unwrap();
    assert_eq!(again, Migrated { applied: 0, version: 1 });
    open(config).await.unwrap();
    let replication =
        format!("SELECT replication['class'] FROM system_schema.keyspaces WHERE keyspace_name = '{}'", config.keyspace);
    let rows: Vec<(String,)> = meddler.rows(&replication).await;
    assert!(rows[0].0.ends_with("NetworkTopologyStrategy"), "{rows:?}");
}

async fn the_number_of_partitions_never_changes(config: &ScyllaConfig) {
    let others = Partitions::new(17).unwrap();
    assert_says(migrate(config, others).await, &["16 partitions", "17 are configured"]);
    assert_says(ScyllaViewStore::open(config.clone(), others).await, &["16 partitions", "17 are configured"]);
}

/// To the query service, which has no other store that could know it.
async fn the_number_of_partitions_is_told(config: &ScyllaConfig, meddler: &Meddler) {
    assert_eq!(ScyllaViewStore::open_as_made(config.clone()).await.unwrap().partitions(), partitions());
    for garbled in [0, -1, 257] {
        meddler.run(&format!("UPDATE installation SET partitions = {garbled} WHERE id = 0")).await;
        let says = format!("{garbled} partitions");
        assert_says(ScyllaViewStore::open_as_made(config.clone()).await, &[&says, "changed from outside"]);
    }
    meddler.run("UPDATE installation SET partitions = 16 WHERE id = 0").await;
}

async fn a_changed_migration_is_refused(config: &ScyllaConfig, meddler: &Meddler) {
    let checksum: Vec<(String,)> = meddler.rows("SELECT checksum FROM schema_migrations").await;
    let set = async |checksum: &str| {
        let update =
            format!("UPDATE schema_migrations SET checksum = '{checksum}' WHERE part = 'views' AND version = 1");
        meddler.run(&update).await;
    };
    set("abc").await;
    assert_says(migrate(config, partitions()).await, &["0001_progress", "abc", &checksum[0].0, "must not change"]);
    set(&checksum[0].0).await;
}

async fn a_newer_schema_is_refused(config: &ScyllaConfig, meddler: &Meddler) {
    meddler
        .run("INSERT INTO schema_migrations (part, version, name, checksum) VALUES ('views', 2, '0002_later', 'abc')")
        .await;
    assert_says(migrate(config, partitions()).await, &["schema 2", "newer"]);
    assert_says(open(config).await, &["schema 2", "newer"]);
    meddler.run("DELETE FROM schema_migrations WHERE part = 'views' AND version = 2").await;
}

/// A holder that died is waited for until its lock expires, and no longer.
async fn a_dead_holder_of_the_lock_is_waited_for(config: &ScyllaConfig, meddler: &Meddler) {
    meddler.run("DELETE FROM schema_migrations WHERE part = 'views'").await;
    meddler.run("INSERT INTO schema_lock (part, holder) VALUES ('views', uuid()) IF NOT EXISTS USING TTL 2").await;
    let begin = tokio::time::Instant::now();
    let migrated = migrate(config, partitions()).await.unwrap();
    assert_eq!(migrated.applied, 1);
    assert!(begin.elapsed().as_millis() >= 1_000, "nobody waited for the holder");
}

#[tokio::test]
async fn many_migrate_at_once() {
    let Some(config) = fresh_config() else { return };
    let migrated = join_all((0..4).map(|_| migrate(&config, partitions()))).await;
    let applied: usize = migrated.iter().map(|migrated| migrated.as_ref().unwrap().applied).sum();
    assert_eq!(applied, 1, "{migrated:?}");
    open(&config).await.unwrap();
    let locks: Vec<(String,)> = Meddler::inside(&config).await.rows("SELECT part FROM schema_lock").await;
    assert_eq!(locks, [], "the lock is held by nobody");
    remove(&config).await;
}

#[tokio::test]
async fn what_was_not_migrated_cannot_be_opened() {
    let Some(config) = fresh_config() else { return };
    assert_says(open(&config).await, &[&config.keyspace, "run `diptych migrate`"]);
    let meddler = Meddler::new(&config).await;
    let replication = "{'class': 'NetworkTopologyStrategy', 'replication_factor': 1}";
    meddler.run(&format!("CREATE KEYSPACE {} WITH replication = {replication}", config.keyspace)).await;
    assert_says(open(&config).await, &[&config.keyspace, "run `diptych migrate`"]);

    migrate(&config, partitions()).await.unwrap();
    let meddler = Meddler::inside(&config).await;
    meddler.run("DELETE FROM installation WHERE id = 0").await;
    assert_says(open(&config).await, &["has not ended", "run `diptych migrate`"]);
    meddler.run("DELETE FROM schema_migrations WHERE part = 'views'").await;
    assert_says(open(&config).await, &["schema 0", "older", "run `diptych migrate`"]);

    // What is there already does not disturb a migration that begins again.
    let again = migrate(&config, partitions()).await.unwrap();
    assert_eq!(again.applied, 1);
    open(&config).await.unwrap();
    remove(&config).await;
}

#[tokio::test]
async fn more_copies_than_nodes_are_refused() {
    let Some(config) = fresh_config() else { return };
    let many = ScyllaConfig { replication_factor: 200, ..config.clone() };
    assert_says(migrate(&many, partitions()).await, &["replication_factor is 200"]);
    let elsewhere = ScyllaConfig { datacenter: Some("atlantis".into()), ..config.clone() };
    assert_says(migrate(&elsewhere, partitions()).await, &["atlantis"]);
    migrate(&config, partitions()).await.unwrap();
    assert_says(open(&elsewhere).await, &["atlantis"]);

    // In the data centre that there is.
    let meddler = Meddler::new(&config).await;
    let local: Vec<(String,)> = meddler.rows("SELECT data_center FROM system.local").await;
    let here = ScyllaConfig { datacenter: Some(local[0].0.clone()), ..fresh_config().unwrap() };
    migrate(&here, partitions()).await.unwrap();
    open(&here).await.unwrap();
    remove(&here).await;
    remove(&config).await;
}

#[tokio::test]
async fn a_server_that_is_away_may_come_back() {
    // Nobody listens there.
    let config = ScyllaConfig::new(vec!["127.0.0.1:1".into()], "diptych");
    for error in [open(&config).await.err(), migrate(&config, partitions()).await.err()] {
        let error = error.unwrap();
        assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Retry), "{error}");
        assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    }
}

#[tokio::test]
async fn wrong_settings_are_told_before_anything_is_tried() {
    let config = ScyllaConfig { keyspace: "No Such".into(), ..ScyllaConfig::new(Vec::new(), "") };
    assert_says(open(&config).await, &["contact point", "No Such"]);
    assert_says(migrate(&config, partitions()).await, &["contact point", "No Such"]);
}
