//! The order of all events.

use std::{sync::Arc, time::Duration};

use diptych_kernel::{
    Position,
    ports::{EventStore, Remedy},
};
use diptych_postgres::PostgresEventStore;
use futures::future::join;
use tokio_postgres::Client;

use crate::support::{
    Database,
    batch::{store, store_in_vain, stream, unit, versions},
    with_database,
};

/// Begins a transaction that stores an event, and keeps it open.
async fn hold(database: &Database, stream_id: &str) -> Client {
    let client = database.connect().await;
    client.batch_execute("BEGIN").await.unwrap();
    client
        .execute(
            "INSERT INTO events (position, recorded_at, version, request_id, partition, stream_id, event_type, payload)
             SELECT (position_base + pg_current_xact_id()::text::bigint) << 20, statement_timestamp(), 1, gen_random_uuid(), 0, $1,
                 'test.Happened', ''
             FROM installation",
            &[&stream_id],
        )
        .await
        .unwrap();
    client
}

#[test]
fn what_is_held_is_not_passed() {
    with_database(|database| async move {
        let handle = database.open().await;
        let before = store(&handle, &unit("before", 1)).await.streams[0].position;
        let holder = hold(&database, "held").await;
        let after = store(&handle, &unit("after", 1)).await;
        let receipt = &after.streams[0];

        // It is committed, and whoever asks for it gets it.
        assert_eq!(versions(&handle, "after").await, [1]);
        let tail = handle.read_after(before, 10).await.unwrap();
        assert_eq!((tail.events.len(), tail.complete_up_to), (0, before), "it would be passed");
        assert!(tail.read_at <= after.committed_at, "complete up to a time when the event was there that is held back");
        let tail = handle.read_partition_after(receipt.partition, before, 10).await.unwrap();
        assert_eq!((tail.events.len(), tail.complete_up_to), (0, before));

        holder.batch_execute("COMMIT").await.unwrap();
        database.settle().await;
        let tail = handle.read_after(before, 10).await.unwrap();
        let read: Vec<&str> = tail.events.iter().map(|event| event.stream_id.as_str()).collect();
        assert_eq!(read, ["held", "after"], "in the order of their positions");
        assert_eq!(tail.complete_up_to, receipt.position);
        assert!(tail.read_at >= after.committed_at);
    });
}

#[test]
fn what_holds_readers_back_is_told() {
    with_database(|database| async move {
        let handle = database.open().await;
        let holder = hold(&database, "held").await;
        let pid: i32 = holder.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
        // Beside it there may be transactions of other tests, which are over soon.
        let told = async {
            loop {
                match handle.oldest_writer().await.unwrap() {
                    Some(writer) if writer.pid == Some(pid) => return writer,
                    _ => tokio::task::yield_now().await,
                }
            }
        };
        let writer = tokio::time::timeout(Duration::from_secs(20), told).await.expect("it is told");
        assert_eq!(writer.state.as_deref(), Some("idle in transaction"));
        assert!(writer.age_seconds.unwrap() > 0.0);
        assert_eq!(writer.prepared_as, None);
        holder.batch_execute("ROLLBACK").await.unwrap();
        assert!(handle.oldest_writer().await.unwrap().is_none_or(|writer| writer.pid != Some(pid)));
    });
}

/// Whoever appends the next version but one, before the next one is committed, would get the smaller position.
#[test]
fn a_version_is_not_stored_before_the_one_that_it_builds_on() {
    with_database(|database| async move {
        let handle = database.open().await;
        let holder = hold(&database, "ahead").await;
        let (conflicts, done) = store_in_vain(&handle, &unit("ahead", 2)).await;
        assert_eq!((conflicts[0].expected.number(), conflicts[0].actual.number()), (1, 0));
        assert!(done.is_empty());

        // Whoever appends the same version waits, and has lost.
        let next = unit("ahead", 1);
        let commit = async {
            database.until(WAITS_FOR_A_TRANSACTION).await;
            holder.batch_execute("COMMIT").await.unwrap();
        };
        let ((conflicts, _), ()) = join(store_in_vain(&handle, &next), commit).await;
        assert_eq!((conflicts[0].expected.number(), conflicts[0].actual.number()), (0, 1));
        store(&handle, &unit("ahead", 2)).await;
        let read = handle.read_stream_after(&stream("ahead"), Default::default(), 10).await.unwrap();
        assert!(read.is_sorted_by_key(|event| event.position));
        assert_eq!(read.len(), 2);
    });
}

/// Whether somebody in this database waits for another transaction to be over.
const WAITS_FOR_A_TRANSACTION: &str = "SELECT count(*) > 0 FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event = 'transactionid'";

/// The other one has given up.
#[test]
fn a_version_whose_writer_rolls_back_is_free() {
    with_database(|database| async move {
        let handle = database.open().await;
        let holder = hold(&database, "free").await;
        let next = unit("free", 1);
        let roll_back = async {
            database.until(WAITS_FOR_A_TRANSACTION).await;
            holder.batch_execute("ROLLBACK").await.unwrap();
        };
        join(store(&handle, &next), roll_back).await;
        assert_eq!(versions(&handle, "free").await, [1]);
    });
}

#[test]
fn a_restored_database_is_refused_until_it_is_rebased() {
    with_database(|database| async move {
        let handle = database.open().await;
        let before = store(&handle, &unit("restored", 1)).await.streams[0].position;
        drop(handle);
        // As after a restore by dump into a server that has given out few transaction ids.
        database.execute("UPDATE events SET position = position + (1::bigint << 50)").await;
        database.execute("UPDATE requests SET position = position + (1::bigint << 50)").await;

        let error = PostgresEventStore::open(database.config()).await.err().expect("it is refused");
        assert_eq!(error.remedy(), Remedy::Operator);
        let message = error.to_string();
        let (_, advice) = message.split_once("then run ").expect("it says what to do");
        database.execute(advice).await;

        let handle = database.open().await;
        let after = store(&handle, &unit("restored", 2)).await.streams[0].position;
        assert!(after.as_i64() > before.as_i64() + (1 << 50), "{before} and {after}");
        database.settle().await;
        let tail = handle.read_after(Position::START, 10).await.unwrap();
        assert_eq!(tail.events.len(), 2);
        assert_eq!(tail.complete_up_to, after);
    });
}

/// Many writers of one stream, on connections of their own, with batches that overlap: none waits in a circle.
#[test]
fn overlapping_batches_do_not_wait_in_a_circle() {
    with_database(|database| async move {
        let handles = [database.open().await, database.open().await, database.open().await];
        let handles: Vec<Arc<PostgresEventStore>> = handles.into_iter().map(Arc::new).collect();
        for round in 1..=20 {
            let names = ["circle-a", "circle-b", "circle-c"];
            let batches = handles.iter().enumerate().map(|(index, handle)| {
                // Each in another order.
                let mut units: Vec<_> = names.iter().map(|name| unit(name, round)).collect();
                units.rotate_left(index);
                async move { handle.append(&units, &[]).await.unwrap() }
            });
            let outcomes = futures::future::join_all(batches).await;
            let is_stored = |outcome: &&_| matches!(outcome, diptych_kernel::ports::AppendOutcome::Committed(_));
            assert_eq!(outcomes.iter().filter(is_stored).count(), 1, "each version is won once");
        }
        let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
        assert_eq!(database.row(deadlocks, &[]).await.get::<_, i64>(0), 0);
    });
}
