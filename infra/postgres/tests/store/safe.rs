//! What was seen is safe before it is told.

use diptych_kernel::ports::EventStore;
use diptych_postgres::{PostgresConfig, PostgresEventStore};

use crate::support::{
    Database,
    batch::{find, store, store_in_vain, stream, unit, versions},
    with_database,
};

/// Counts the commits that make things safe.
async fn count_proofs(database: &Database) {
    database
        .execute(
            "CREATE TABLE test.proofs (number serial);
             CREATE FUNCTION test.pg_logical_emit_message(transactional boolean, prefix text, content text)
             RETURNS pg_lsn LANGUAGE plpgsql AS $$
             BEGIN
                 ASSERT transactional;
                 INSERT INTO test.proofs DEFAULT VALUES;
                 RETURN '0/0'::pg_lsn;
             END $$",
        )
        .await;
}

/// A handle without connections beside those that carry data.
async fn open(database: &Database) -> PostgresEventStore {
    PostgresEventStore::open(PostgresConfig { notify: false, ..database.config() }).await.unwrap()
}

async fn proofs(database: &Database) -> i64 {
    database.row("SELECT count(*) FROM test.proofs", &[]).await.get(0)
}

#[test]
fn a_connection_proves_itself_once() {
    with_database(|database| async move {
        count_proofs(&database).await;
        let handle = open(&database).await;
        assert_eq!(proofs(&database).await, 1, "the first connection");
        for version in 1..=3 {
            store(&handle, &unit("proven", version)).await;
        }
        assert_eq!(proofs(&database).await, 2, "the connection of the appends, and no append by itself");
        database.settle().await;
        for _ in 0..3 {
            assert_eq!(handle.read_after(Default::default(), 10).await.unwrap().events.len(), 3);
        }
        assert_eq!(proofs(&database).await, 2, "reading on leaves it to the reader");
    });
}

#[test]
fn what_others_did_is_made_safe_before_it_is_told() {
    with_database(|database| async move {
        let other = open(&database).await;
        let done = unit("safe", 1);
        store(&other, &done).await;

        count_proofs(&database).await;
        let handle = open(&database).await;
        let before = proofs(&database).await;
        find(&handle, &done).await.unwrap();
        assert_eq!(proofs(&database).await, before + 1, "a receipt");
        find(&handle, &done).await.unwrap();
        assert_eq!(versions(&handle, "safe").await, [1]);
        assert_eq!(proofs(&database).await, before + 1, "it stays safe");
        assert_eq!(find(&handle, &unit("safe", 2)).await, None);
        assert_eq!(proofs(&database).await, before + 1, "nothing was told");

        store(&other, &unit("safe", 2)).await;
        assert_eq!(versions(&handle, "safe").await, [1, 2]);
        assert_eq!(proofs(&database).await, before + 2, "a stream");
        store(&other, &unit("safe", 3)).await;
        handle.read_stream_after(&stream("safe"), Default::default(), 10).await.unwrap();
        assert_eq!(proofs(&database).await, before + 3, "a piece of a stream");

        let repeated = unit("safe", 4);
        store(&other, &repeated).await;
        // The first append of this handle makes a connection, which proves itself.
        let (_, requests) = store_in_vain(&handle, &repeated).await;
        assert_eq!(requests.len(), 1);
        assert_eq!(proofs(&database).await, before + 5, "a receipt in a rejection");
    });
}

#[test]
fn own_commits_make_things_safe_whoever_else_is_at_it() {
    with_database(|database| async move {
        count_proofs(&database).await;
        let handle = open(&database).await;
        // A transaction that stays open holds readers back, and not this.
        let open = database.connect().await;
        open.batch_execute("BEGIN; SELECT pg_current_xact_id()").await.unwrap();
        let own: Vec<_> = (1..=3).map(|version| unit("own", version)).collect();
        for unit in &own {
            store(&handle, unit).await;
        }
        let before = proofs(&database).await;
        for unit in &own {
            find(&handle, unit).await.unwrap();
        }
        assert_eq!(proofs(&database).await, before);
    });
}
