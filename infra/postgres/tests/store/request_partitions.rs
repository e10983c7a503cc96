//! Partitions of the table of request ids.

use std::time::Duration;

use diptych_kernel::{
    Timestamp,
    ports::{AppendOutcome, EventStore},
};
use diptych_postgres::{PostgresConfig, PostgresEventStore};
use futures::future::join;

use crate::support::{
    Database,
    appends::{append_one, append_rejected, find_request, stream_versions, try_append, unit},
    with_database,
};

const LIMIT: usize = 100;

/// Opens a handle that begins a new partition at every call of `forget_requests`.
async fn open_with_short_partitions(database: &Database) -> PostgresEventStore {
    let config = PostgresConfig { request_partition_interval: Duration::ZERO, ..database.config() };
    PostgresEventStore::open(config).await.unwrap()
}

async fn partition_numbers(database: &Database) -> Vec<i32> {
    let rows = database
        .client
        .query("SELECT partition_number FROM request_partitions ORDER BY partition_number", &[])
        .await
        .unwrap();
    let listed: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
    let tables = "SELECT count(*)::integer FROM pg_inherits WHERE inhparent = 'requests'::regclass";
    let count: i32 = database.row(tables, &[]).await.get(0);
    assert_eq!(usize::try_from(count).unwrap(), listed.len(), "each partition has its table");
    listed
}

#[test]
fn a_request_in_an_older_partition_is_found() {
    with_database(|database| async move {
        let handle = open_with_short_partitions(&database).await;
        let old = unit("old", 1);
        let receipt = append_one(&handle, &old).await;
        assert_eq!(handle.forget_requests(Timestamp::from_micros(0), LIMIT).await.unwrap(), 0);
        assert_eq!(partition_numbers(&database).await, [1, 2]);
        let young = unit("young", 1);
        append_one(&handle, &young).await;
        assert_eq!(handle.forget_requests(Timestamp::from_micros(0), LIMIT).await.unwrap(), 0);
        assert_eq!(partition_numbers(&database).await, [1, 2, 3]);

        assert_eq!(find_request(&handle, &old).await.unwrap().receipt(), Some(&receipt));
        assert!(find_request(&handle, &young).await.is_some());
        // The same id with another version, so only the id conflicts.
        let mut again = unit("old", 2);
        again.request_id = old.request_id;
        let (conflicts, done) = append_rejected(&handle, &again).await;
        assert!(conflicts.is_empty());
        assert_eq!(done[0].receipt(), Some(&receipt));
    });
}

#[test]
fn an_older_partition_is_forgotten_at_once_and_dropped_whole() {
    with_database(|database| async move {
        let handle = open_with_short_partitions(&database).await;
        let old: Vec<_> = (1..=5).map(|version| unit("old", version)).collect();
        for unit in &old {
            append_one(&handle, unit).await;
        }
        assert_eq!(handle.forget_requests(Timestamp::from_micros(0), LIMIT).await.unwrap(), 0);
        database.advance(Duration::from_secs(60)).await;
        let kept = unit("old", 6);
        let cutoff = append_one(&handle, &kept).await.committed_at;

        // All of the partition is older; the reported count is at most the limit.
        assert_eq!(handle.forget_requests(cutoff, 3).await.unwrap(), 3);
        for unit in &old {
            assert_eq!(find_request(&handle, unit).await, None);
        }
        assert!(find_request(&handle, &kept).await.is_some());
        assert_eq!(partition_numbers(&database).await, [2, 3], "the first is dropped, and another was begun");
        assert_eq!(handle.forget_requests(cutoff, LIMIT).await.unwrap(), 2, "the rest");
        assert_eq!(handle.forget_requests(cutoff, LIMIT).await.unwrap(), 0, "nothing is left to forget");
        assert_eq!(stream_versions(&handle, "old").await, [1, 2, 3, 4, 5, 6], "events stay");

        // A forgotten id counts as new.
        let mut again = unit("old", 7);
        again.request_id = old[0].request_id;
        let receipt = append_one(&handle, &again).await;
        assert_eq!(find_request(&handle, &again).await.unwrap().receipt(), Some(&receipt));
    });
}

/// Half of a partition is older: those ids count as new, although their rows are still stored.
#[test]
fn forgotten_requests_in_a_partition_that_is_kept_count_as_new() {
    with_database(|database| async move {
        let handle = open_with_short_partitions(&database).await;
        let old = unit("half", 1);
        append_one(&handle, &old).await;
        database.advance(Duration::from_secs(60)).await;
        let young = unit("half", 2);
        let cutoff = append_one(&handle, &young).await.committed_at;
        assert_eq!(handle.forget_requests(Timestamp::from_micros(0), LIMIT).await.unwrap(), 0);

        assert_eq!(handle.forget_requests(cutoff, LIMIT).await.unwrap(), 1);
        assert_eq!(database.row("SELECT count(*) FROM requests", &[]).await.get::<_, i64>(0), 2, "no row was deleted");
        assert_eq!(find_request(&handle, &old).await, None);
        assert!(find_request(&handle, &young).await.is_some());
        let mut again = unit("half", 3);
        again.request_id = old.request_id;
        append_one(&handle, &again).await;
        assert!(find_request(&handle, &again).await.is_some());
    });
}

/// The newest partition contains old requests if ids are kept for a short time: it is closed first, and dropped whole.
#[test]
fn no_request_is_deleted_that_is_dropped_with_its_partition() {
    with_database(|database| async move {
        let handle = database.open().await;
        let old = unit("short", 1);
        append_one(&handle, &old).await;
        database.advance(Duration::from_secs(60)).await;
        let young = unit("short", 2);
        let cutoff = append_one(&handle, &young).await.committed_at;
        assert_eq!(handle.forget_requests(cutoff, LIMIT).await.unwrap(), 1);
        assert_eq!(partition_numbers(&database).await, [1, 2]);
        assert_eq!(find_request(&handle, &old).await, None);
        assert!(find_request(&handle, &young).await.is_some());
        let deleted = "SELECT coalesce(sum(n_tup_del), 0)::bigint FROM pg_stat_user_tables WHERE relname ~ '^requests'";
        database.execute("SELECT pg_stat_clear_snapshot()").await;
        assert_eq!(database.row(deleted, &[]).await.get::<_, i64>(0), 0);
        assert_eq!(database.row("SELECT count(*) FROM requests", &[]).await.get::<_, i64>(0), 2);

        database.advance(Duration::from_secs(60)).await;
        let cutoff = append_one(&handle, &unit("short", 3)).await.committed_at;
        assert_eq!(handle.forget_requests(cutoff, LIMIT).await.unwrap(), 1);
        assert_eq!(partition_numbers(&database).await, [2, 3], "the first is dropped");
        assert_eq!(find_request(&handle, &young).await, None);
    });
}

/// The same id with another content, to another stream, from another handle, while a new partition begins: stored once.
#[test]
fn an_id_is_stored_once_while_partitions_rotate() {
    with_database(|database| async move {
        let handles = [open_with_short_partitions(&database).await, database.open().await];
        for round in 0..20 {
            let one = unit(&format!("partition-{round}-a"), 1);
            let mut other = unit(&format!("partition-{round}-b"), 1);
            other.request_id = one.request_id;
            let begin = handles[0].forget_requests(Timestamp::from_micros(0), LIMIT);
            let attempts = join(try_append(&handles[0], &one), try_append(&handles[1], &other));
            let (attempts, begun) = join(attempts, begin).await;
            begun.unwrap();
            let outcomes = [attempts.0.unwrap(), attempts.1.unwrap()];
            let stored = outcomes.iter().filter(|outcome| matches!(outcome, AppendOutcome::Committed(_))).count();
            assert_eq!(stored, 1, "{outcomes:?}");
        }
        let twice = "SELECT count(*) FROM (SELECT FROM requests GROUP BY request_id HAVING count(*) > 1) AS twice";
        assert_eq!(database.row(twice, &[]).await.get::<_, i64>(0), 0);
        assert!(partition_numbers(&database).await.len() > 2, "the partitions were rotated");
    });
}

/// An append that does not end must not block others behind a lock.
#[test]
fn a_new_partition_does_not_wait_long_for_its_lock() {
    with_database(|database| async move {
        let handle = open_with_short_partitions(&database).await;
        let holder = database.connect().await;
        let lock = "BEGIN; LOCK TABLE requests IN ROW EXCLUSIVE MODE";
        holder.batch_execute(lock).await.unwrap();
        assert_eq!(handle.forget_requests(Timestamp::from_micros(0), LIMIT).await.unwrap(), 0, "no error");
        assert_eq!(partition_numbers(&database).await, [1], "skipped until the next call");
        append_one(&handle, &unit("goes-on", 1)).await;
        holder.batch_execute("COMMIT").await.unwrap();
        assert_eq!(handle.forget_requests(Timestamp::from_micros(0), LIMIT).await.unwrap(), 0);
        assert_eq!(partition_numbers(&database).await, [1, 2]);
    });
}

#[test]
fn a_new_partition_does_not_wait_for_a_vacuum_of_an_old_one() {
    with_database(|database| async move {
        let handle = open_with_short_partitions(&database).await;
        let vacuum = database.connect().await;
        vacuum.batch_execute("BEGIN; LOCK TABLE requests_1 IN SHARE UPDATE EXCLUSIVE MODE").await.unwrap();
        assert_eq!(handle.forget_requests(Timestamp::from_micros(0), LIMIT).await.unwrap(), 0);
        assert_eq!(partition_numbers(&database).await, [1, 2]);
    });
}
