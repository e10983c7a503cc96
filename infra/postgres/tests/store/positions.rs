//! The order of all events, and readers behind open transactions.

use std::{sync::Arc, time::Duration};

use diptych_kernel::{
    Position,
    ports::{EventPage, EventStore, Remedy},
};
use diptych_postgres::{PostgresEventStore, rebase};
use futures::future::join;
use tokio_postgres::Client;

use crate::support::{
    Database, HORIZON,
    appends::{append_one, append_rejected, stream, stream_versions, unit},
    test_server_url, with_database,
};

/// Begins a transaction that stores an event, and keeps it open.
async fn insert_uncommitted(database: &Database, stream_id: &str) -> Client {
    let client = database.connect().await;
    client.batch_execute("SET diptych.keeps_streams = on; BEGIN").await.unwrap();
    client.execute("INSERT INTO streams VALUES ($1, 1, 0)", &[&stream_id]).await.unwrap();
    client
        .execute(
            "INSERT INTO events (position, recorded_at, version, request_id, partition, stream_id, event_type, payload)
             SELECT (position_base + pg_current_xact_id()::text::bigint) << 20, statement_timestamp(), 1,
                 gen_random_uuid(), 0, $1, 'test.Happened', ''
             FROM installation",
            &[&stream_id],
        )
        .await
        .unwrap();
    client
}

#[test]
fn a_reader_does_not_skip_an_uncommitted_event() {
    with_database(|database| async move {
        let _guard = HORIZON.read().await;
        let handle = database.open().await;
        let before = append_one(&handle, &unit("before", 1)).await.streams[0].position;
        let holder = insert_uncommitted(&database, "held").await;
        let after = append_one(&handle, &unit("after", 1)).await;
        let receipt = &after.streams[0];

        // It is committed, and can be loaded by its stream.
        assert_eq!(stream_versions(&handle, "after").await, [1]);
        let tail = handle.read_after(before, 10).await.unwrap();
        assert_eq!((tail.events.len(), tail.complete_up_to), (0, before), "the reader skipped the uncommitted event");
        assert!(
            tail.read_at <= after.committed_at,
            "complete up to a time at which the event that is held back was committed"
        );
        let held_back = tail.held_back.expect("the event that is committed and not read is counted");
        assert_eq!((held_back.partition, held_back.recorded_at), (receipt.partition, after.committed_at));
        assert!(held_back.seen_at >= held_back.recorded_at);
        let tail = handle.read_partition_after(receipt.partition, before, 10).await.unwrap();
        assert_eq!((tail.events.len(), tail.complete_up_to), (0, before));

        holder.batch_execute("COMMIT").await.unwrap();
        database.wait_until_settled().await;
        let tail = handle.read_after(before, 10).await.unwrap();
        let read: Vec<&str> = tail.events.iter().map(|event| event.stream_id.as_str()).collect();
        assert_eq!(read, ["held", "after"], "in the order of their positions");
        assert_eq!(tail.complete_up_to, receipt.position);
        assert!(tail.read_at >= after.committed_at);
        assert_eq!(tail.held_back, None);
    });
}

/// Reads a page until nothing is held back: a transaction of another test may end while its database is looked up, and
/// an unknown one holds readers back.
async fn read_all(handle: &PostgresEventStore, cursor_exclusive: Position) -> EventPage {
    let read = async {
        loop {
            let page = handle.read_after(cursor_exclusive, 10).await.unwrap();
            if page.held_back.is_none() {
                return page;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), read).await.expect("nothing is held back for ever")
}

/// It cannot store events here.
#[test]
fn a_transaction_of_another_database_does_not_hold_readers_back() {
    with_database(|database| async move {
        let _guard = HORIZON.read().await;
        let other = Database::create(&test_server_url().unwrap()).await;
        let holder = other.connect().await;
        holder.batch_execute("CREATE TABLE written (); BEGIN; INSERT INTO written DEFAULT VALUES").await.unwrap();
        let handle = database.open().await;
        let receipt = append_one(&handle, &unit("free", 1)).await;
        let written = &receipt.streams[0];
        let page = read_all(&handle, Position::START).await;
        assert_eq!((page.events.len(), page.complete_up_to), (1, written.position));
        handle.wait_for_events(Position::START, Duration::from_secs(20)).await;
        // A new connection of this handle may be committing.
        let writer = handle.oldest_writer().await.unwrap();
        assert!(writer.is_none_or(|writer| writer.database.as_deref() == Some(database.name())));

        // One of this database does, also beside it.
        let own = insert_uncommitted(&database, "held").await;
        append_one(&handle, &unit("free", 2)).await;
        let page = handle.read_after(written.position, 10).await.unwrap();
        assert_eq!((page.events.len(), page.held_back.is_some()), (0, true));
        own.batch_execute("COMMIT").await.unwrap();
        assert_eq!(read_all(&handle, written.position).await.events.len(), 2);
        holder.batch_execute("ROLLBACK").await.unwrap();
    });
}

#[test]
fn the_transaction_that_holds_readers_back_is_reported() {
    with_database(|database| async move {
        let _guard = HORIZON.read().await;
        let handle = database.open().await;
        let holder = insert_uncommitted(&database, "held").await;
        let pid: i32 = holder.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
        // There may be older transactions of other tests, which end soon.
        let reported = async {
            loop {
                match handle.oldest_writer().await.unwrap() {
                    Some(writer) if writer.pid == Some(pid) => return writer,
                    _ => tokio::task::yield_now().await,
                }
            }
        };
        let writer = tokio::time::timeout(Duration::from_secs(20), reported).await.expect("it is reported");
        assert_eq!(writer.state.as_deref(), Some("idle in transaction"));
        assert!(writer.age_seconds.unwrap() > 0.0);
        assert_eq!(writer.database.as_deref(), Some(database.name()));
        assert!(writer.query.unwrap().starts_with("SELECT pg_backend_pid()"));
        assert_eq!(writer.prepared_as, None);
        let committed_at = append_one(&handle, &unit("behind", 1)).await.committed_at;
        let status = handle.status().await.unwrap();
        assert_eq!(status.oldest_writer.unwrap().pid, Some(pid));
        assert_eq!((status.held_back_since, status.unpublished_since), (Some(committed_at), Some(committed_at)));
        assert_eq!((status.relay, status.segments_count, status.segments_made_count), (None, 1, 3));
        holder.batch_execute("ROLLBACK").await.unwrap();
        assert!(handle.oldest_writer().await.unwrap().is_none_or(|writer| writer.pid != Some(pid)));
    });
}

/// An append of version 2 before version 1 is committed would get the smaller position.
#[test]
fn a_version_is_not_stored_before_its_predecessor_is_committed() {
    with_database(|database| async move {
        let _guard = HORIZON.read().await;
        let handle = database.open().await;
        let holder = insert_uncommitted(&database, "ahead").await;
        let (conflicts, done) = append_rejected(&handle, &unit("ahead", 2)).await;
        assert_eq!((conflicts[0].expected.number(), conflicts[0].actual.number()), (1, 0));
        assert!(done.is_empty());

        // An append of the same version waits, and conflicts.
        let next = unit("ahead", 1);
        let commit = async {
            database.wait_until(WAITS_FOR_A_TRANSACTION).await;
            holder.batch_execute("COMMIT").await.unwrap();
        };
        let ((conflicts, _), ()) = join(append_rejected(&handle, &next), commit).await;
        assert_eq!((conflicts[0].expected.number(), conflicts[0].actual.number()), (0, 1));
        append_one(&handle, &unit("ahead", 2)).await;
        let read = handle.read_stream_after(&stream("ahead"), Default::default(), 10).await.unwrap();
        assert!(read.is_sorted_by_key(|event| event.position));
        assert_eq!(read.len(), 2);
    });
}

/// Returns whether a session of this database waits for the end of another transaction.
const WAITS_FOR_A_TRANSACTION: &str = "SELECT count(*) > 0 FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event = 'transactionid'";

#[test]
fn a_version_can_be_stored_after_its_first_writer_rolled_back() {
    with_database(|database| async move {
        let _guard = HORIZON.read().await;
        let handle = database.open().await;
        let holder = insert_uncommitted(&database, "free").await;
        let next = unit("free", 1);
        let roll_back = async {
            database.wait_until(WAITS_FOR_A_TRANSACTION).await;
            holder.batch_execute("ROLLBACK").await.unwrap();
        };
        join(append_one(&handle, &next), roll_back).await;
        assert_eq!(stream_versions(&handle, "free").await, [1]);
    });
}

#[test]
fn a_restored_database_is_refused_until_it_is_rebased() {
    with_database(|database| async move {
        let handle = database.open().await;
        let before = append_one(&handle, &unit("restored", 1)).await.streams[0].position;
        drop(handle);
        // As after a restore of a dump into a server that has assigned few transaction ids.
        database.execute("UPDATE events SET position = position + (1::bigint << 50)").await;
        database.execute("UPDATE requests SET position = position + (1::bigint << 50)").await;

        let error = PostgresEventStore::open(database.config()).await.err().expect("it is refused");
        assert_eq!(error.remedy(), Remedy::Operator);
        assert!(error.to_string().contains("run `diptych rebase`"), "{error}");
        rebase(&database.config(), Position::START).await.unwrap();

        let handle = database.open().await;
        let after = append_one(&handle, &unit("restored", 2)).await.streams[0].position;
        assert!(after.as_i64() > before.as_i64() + (1 << 50), "{before} and {after}");
        database.wait_until_settled().await;
        let tail = handle.read_after(Position::START, 10).await.unwrap();
        assert_eq!(tail.events.len(), 2);
        assert_eq!(tail.complete_up_to, after);
    });
}

/// Concurrent appends of the same streams in different orders, on separate connections.
#[test]
fn overlapping_batches_do_not_deadlock() {
    with_database(|database| async move {
        let handles = [database.open().await, database.open().await, database.open().await];
        let handles: Vec<Arc<PostgresEventStore>> = handles.into_iter().map(Arc::new).collect();
        for round in 1..=20 {
            let names = ["deadlock-a", "deadlock-b", "deadlock-c"];
            let batches = handles.iter().enumerate().map(|(index, handle)| {
                // Each handle in another order.
                let mut units: Vec<_> = names.iter().map(|name| unit(name, round)).collect();
                units.rotate_left(index);
                async move { handle.append(&units, &[]).await.unwrap() }
            });
            let outcomes = futures::future::join_all(batches).await;
            let is_stored = |outcome: &&_| matches!(outcome, diptych_kernel::ports::AppendOutcome::Committed(_));
            assert_eq!(outcomes.iter().filter(is_stored).count(), 1, "each version is stored once");
        }
        let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
        assert_eq!(database.row(deadlocks, &[]).await.get::<_, i64>(0), 0);
    });
}
