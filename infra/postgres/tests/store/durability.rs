//! Durability of reads before they are returned.

use diptych_kernel::ports::EventStore;
use diptych_postgres::{PostgresConfig, PostgresEventStore};

use crate::support::{
    Database, HORIZON,
    appends::{append_one, append_rejected, find_request, stream, stream_versions, unit},
    with_database,
};

/// Counts the commits that only make reads durable.
async fn count_barriers(database: &Database) {
    database
        .execute(
            "CREATE TABLE test.barriers (number serial);
             CREATE FUNCTION test.pg_logical_emit_message(transactional boolean, prefix text, content text)
             RETURNS pg_lsn LANGUAGE plpgsql AS $$
             BEGIN
                 ASSERT transactional;
                 INSERT INTO test.barriers DEFAULT VALUES;
                 RETURN '0/0'::pg_lsn;
             END $$",
        )
        .await;
}

/// Opens a handle without connections for notifications.
async fn open(database: &Database) -> PostgresEventStore {
    PostgresEventStore::open(PostgresConfig { notify: false, ..database.config() }).await.unwrap()
}

async fn barriers(database: &Database) -> i64 {
    database.row("SELECT count(*) FROM test.barriers", &[]).await.get(0)
}

#[test]
fn a_connection_commits_once_before_it_is_used() {
    with_database(|database| async move {
        count_barriers(&database).await;
        let handle = open(&database).await;
        assert_eq!(barriers(&database).await, 1, "the first connection");
        for version in 1..=3 {
            append_one(&handle, &unit("verified", version)).await;
        }
        assert_eq!(barriers(&database).await, 2, "the connection of the appends, and no append on it");
        database.wait_until_settled().await;
        for _ in 0..3 {
            assert_eq!(handle.read_after(Default::default(), 10).await.unwrap().events.len(), 3);
        }
        assert_eq!(barriers(&database).await, 2, "read_after makes nothing durable");
    });
}

#[test]
fn commits_of_other_handles_are_made_durable_before_they_are_returned() {
    with_database(|database| async move {
        let other = open(&database).await;
        let done = unit("durable", 1);
        append_one(&other, &done).await;

        count_barriers(&database).await;
        let handle = open(&database).await;
        let before = barriers(&database).await;
        find_request(&handle, &done).await.unwrap();
        assert_eq!(barriers(&database).await, before + 1, "a receipt");
        find_request(&handle, &done).await.unwrap();
        assert_eq!(stream_versions(&handle, "durable").await, [1]);
        assert_eq!(barriers(&database).await, before + 1, "it stays durable");
        assert_eq!(find_request(&handle, &unit("durable", 2)).await, None);
        assert_eq!(barriers(&database).await, before + 1, "nothing was returned");

        append_one(&other, &unit("durable", 2)).await;
        assert_eq!(stream_versions(&handle, "durable").await, [1, 2]);
        assert_eq!(barriers(&database).await, before + 2, "a stream");
        append_one(&other, &unit("durable", 3)).await;
        handle.read_stream_after(&stream("durable"), Default::default(), 10).await.unwrap();
        assert_eq!(barriers(&database).await, before + 3, "events of a stream");

        let repeated = unit("durable", 4);
        append_one(&other, &repeated).await;
        // The first append of this handle opens a connection, which commits once.
        let (_, requests) = append_rejected(&handle, &repeated).await;
        assert_eq!(requests.len(), 1);
        assert_eq!(barriers(&database).await, before + 5, "a receipt in a rejection");
    });
}

#[test]
fn own_commits_make_reads_durable_despite_open_transactions() {
    with_database(|database| async move {
        let _guard = HORIZON.read().await;
        count_barriers(&database).await;
        let handle = open(&database).await;
        // An open transaction holds readers back, but does not matter for durability.
        let open = database.connect().await;
        open.batch_execute("BEGIN; SELECT pg_current_xact_id()").await.unwrap();
        let own: Vec<_> = (1..=3).map(|version| unit("own", version)).collect();
        for unit in &own {
            append_one(&handle, unit).await;
        }
        let before = barriers(&database).await;
        for unit in &own {
            find_request(&handle, unit).await.unwrap();
        }
        assert_eq!(barriers(&database).await, before);
    });
}
