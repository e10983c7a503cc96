//! Keyspaces of other installations, and of a write database that was restored.

use diptych_kernel::{
    Partition, Position,
    domain::RowKey,
    ports::{Progress, ProgressStore, ProgressUpdate, Row, RowWrite, ViewStore},
    vocabulary::{HistoryId, Installation},
};
use diptych_scylla::{RebaseReport, ScyllaConfig, ScyllaViewStore, migrate, rebase};

use crate::test_env::{fresh_config, installation, partitions, remove, view};

fn at(number: i64) -> Position {
    Position::from_i64(number).unwrap()
}

/// Writes a row and progress at position 10.
async fn project(store: &ScyllaViewStore) {
    let things = view("things");
    store.ensure_views(&[things]).await.unwrap();
    let row = Row { position: at(10), body: Some("ten".into()) };
    store.write(&[RowWrite { view: things, key: RowKey::single("key"), row }]).await.unwrap();
    let progress = Progress { position: at(10), ..Progress::default() };
    store.save(&[ProgressUpdate { view: things, partition: Partition::new(0), progress }]).await.unwrap();
}

/// The installation after a restore of its write database that kept the events up to a position.
fn restored(kept_up_to: i64) -> Installation {
    let mut restored = installation().clone();
    restored.history.renew(HistoryId::random(), at(kept_up_to));
    restored
}

async fn open_error(config: &ScyllaConfig, installation: &Installation) -> String {
    let opened = ScyllaViewStore::open(config.clone(), installation).await.err().unwrap().to_string();
    let migrated = migrate(config, installation).await.unwrap_err().to_string();
    assert_eq!(opened, migrated);
    opened
}

#[tokio::test]
async fn a_keyspace_of_another_installation_is_refused() {
    let Some(config) = fresh_config() else { return };
    migrate(&config, installation()).await.unwrap();
    let other = Installation::new(partitions());
    let error = open_error(&config, &other).await;
    for part in ["another installation", "scylla.keyspace, kafka.topic, memcached.key_prefix and database"] {
        assert!(error.contains(part), "{error}");
    }
    assert!(error.contains(&installation().history.id().to_string()), "{error}");
    assert!(rebase(&config, &other, Position::START).await.unwrap_err().to_string().contains("another installation"));
    let stored = ScyllaViewStore::open_with_stored_installation(config.clone()).await.unwrap();
    assert_eq!(stored.installation(), installation(), "nothing is changed");
    remove(&config).await;
}

#[tokio::test]
async fn views_that_have_lost_events_are_refused_until_a_rebase_makes_them_anew() {
    let Some(config) = fresh_config() else { return };
    migrate(&config, installation()).await.unwrap();
    let store = ScyllaViewStore::open(config.clone(), installation()).await.unwrap();
    project(&store).await;
    assert_eq!(store.newest_position().await.unwrap(), at(10));

    let restored = restored(9);
    let error = open_error(&config, &restored).await;
    assert!(error.contains("up to position 10") && error.contains("run `diptych rebase`"), "{error}");
    assert_eq!(rebase(&config, &restored, Position::START).await.unwrap(), RebaseReport::Emptied { newest: at(10) });
    let store = ScyllaViewStore::open(config.clone(), &restored).await.unwrap();
    assert_eq!(store.read(view("things"), &[RowKey::single("key")]).await.unwrap(), [None]);
    assert_eq!(store.newest_position().await.unwrap(), Position::START);
    remove(&config).await;
}

#[tokio::test]
async fn views_without_lost_events_follow_the_restored_database() {
    let Some(config) = fresh_config() else { return };
    migrate(&config, installation()).await.unwrap();
    project(&ScyllaViewStore::open(config.clone(), installation()).await.unwrap()).await;
    let before = ScyllaViewStore::open_with_stored_installation(config.clone()).await.unwrap();
    before.check_history().await.unwrap();
    let restored = restored(10);
    assert_eq!(rebase(&config, &restored, Position::START).await.unwrap(), RebaseReport::Kept);
    let error = before.check_history().await.unwrap_err().to_string();
    for history in [&installation().history, &restored.history] {
        assert!(error.contains(&history.id().to_string()) && error.ends_with("Restart this process"), "{error}");
    }
    let store = ScyllaViewStore::open_with_stored_installation(config.clone()).await.unwrap();
    assert_eq!(store.installation(), &restored);
    assert!(store.read(view("things"), &[RowKey::single("key")]).await.unwrap()[0].is_some());
    remove(&config).await;
}
