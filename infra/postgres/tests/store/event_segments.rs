//! Segments of the table of events.

use std::time::Duration;

use diptych_kernel::{
    Position, Timestamp,
    ports::{AppendOutcome, EventStore},
};
use diptych_postgres::{PostgresConfig, PostgresEventStore};
use futures::future::join;

use crate::support::{
    Database, HORIZON,
    appends::{append_one, append_rejected, find_request, stream, stream_versions, try_append, unit},
    with_database,
};

/// Opens a handle that begins a new segment at every call of `forget_requests` after which events were stored.
async fn open_with_small_segments(database: &Database) -> PostgresEventStore {
    let config = PostgresConfig { event_segment_bytes: 1, ..database.config() };
    PostgresEventStore::open(config).await.unwrap()
}

async fn rotate(handle: &PostgresEventStore) {
    handle.forget_requests(Timestamp::from_micros(0), 1).await.unwrap();
}

/// The number of segments that contain events.
async fn segments_with_events(database: &Database) -> i64 {
    let statement = "SELECT count(DISTINCT tableoid) FROM events";
    database.row(statement, &[]).await.get(0)
}

#[test]
fn streams_and_readers_continue_over_segments() {
    with_database(|database| async move {
        let _guard = HORIZON.write().await;
        let handle = open_with_small_segments(&database).await;
        let mut stored = Vec::new();
        for version in 1..=4 {
            for name in ["segment-a", "segment-b"] {
                let unit = unit(name, version);
                stored.push((append_one(&handle, &unit).await, unit));
            }
            rotate(&handle).await;
        }
        assert_eq!(segments_with_events(&database).await, 4, "each round has its segment");
        let positions: Vec<Position> = stored.iter().map(|(receipt, _)| receipt.streams[0].position).collect();
        assert!(positions.is_sorted(), "positions only grow: {positions:?}");

        database.wait_until_settled().await;
        let (mut cursor, mut read) = (Position::START, Vec::new());
        loop {
            let page = handle.read_after(cursor, 3).await.unwrap();
            cursor = page.complete_up_to;
            read.extend(page.events.iter().map(|event| event.position));
            if page.events.is_empty() {
                break;
            }
        }
        assert_eq!(read, positions);
        let last = &stored[6].0.streams[0];
        let page = handle.read_partition_after(last.partition, Position::START, 100).await.unwrap();
        assert!(page.events.iter().filter(|event| event.stream_id == last.stream_id).count() == 4);
        assert_eq!(page.complete_up_to, *positions.last().unwrap());
        assert_eq!(stream_versions(&handle, "segment-a").await, [1, 2, 3, 4]);
        let page = handle.read_stream_after(&stream("segment-b"), Default::default(), 3).await.unwrap();
        assert_eq!(page.len(), 3);
        for (receipt, unit) in &stored {
            assert_eq!(find_request(&handle, unit).await.unwrap().receipt(), Some(receipt));
        }
    });
}

#[test]
fn a_version_in_an_older_segment_is_not_stored_again() {
    with_database(|database| async move {
        let handle = open_with_small_segments(&database).await;
        append_one(&handle, &unit("older", 1)).await;
        rotate(&handle).await;
        let (conflicts, _) = append_rejected(&handle, &unit("older", 1)).await;
        assert_eq!((conflicts[0].expected.number(), conflicts[0].actual.number()), (0, 1));
        append_one(&handle, &unit("older", 2)).await;
        let (conflicts, _) = append_rejected(&handle, &unit("older", 2)).await;
        assert_eq!(conflicts[0].actual.number(), 2);
        assert_eq!(segments_with_events(&database).await, 2);
    });
}

/// Two handles store the same versions while segments rotate: each version is stored once.
#[test]
fn a_version_is_stored_once_while_segments_rotate() {
    with_database(|database| async move {
        let handles = [open_with_small_segments(&database).await, database.open().await];
        for version in 1..=20 {
            let (one, other) = (unit("raced", version), unit("raced", version));
            let attempts = join(try_append(&handles[0], &one), try_append(&handles[1], &other));
            let (attempts, ()) = join(attempts, rotate(&handles[0])).await;
            let outcomes = [attempts.0.unwrap(), attempts.1.unwrap()];
            let stored = outcomes.iter().filter(|outcome| matches!(outcome, AppendOutcome::Committed(_))).count();
            assert_eq!(stored, 1, "{outcomes:?}");
        }
        let twice =
            "SELECT count(*) FROM (SELECT FROM events GROUP BY stream_id, version HAVING count(*) > 1) AS twice";
        assert_eq!(database.row(twice, &[]).await.get::<_, i64>(0), 0);
        assert!(segments_with_events(&database).await > 2, "the segments were rotated");
        let read = handles[1].read_stream_after(&stream("raced"), Default::default(), 100).await.unwrap();
        assert!(read.is_sorted_by_key(|event| event.position));
    });
}

/// The second call waits for the first, and reads what the first has written: it does not lower the base of positions.
#[test]
fn two_processes_that_begin_a_segment_at_the_same_time_keep_positions_growing() {
    with_database(|database| async move {
        let _guard = HORIZON.write().await;
        let handle = open_with_small_segments(&database).await;
        append_one(&handle, &unit("before", 1)).await;
        database.execute("SELECT prepare_event_segments(3)").await;
        database.execute("ALTER FUNCTION begin_event_segment(bigint) SET lock_timeout = 0").await;
        let lock = "BEGIN; LOCK TABLE events IN ROW EXCLUSIVE MODE";
        let [holder, one, other, between] =
            [database.connect().await, database.connect().await, database.connect().await, database.connect().await];
        holder.batch_execute(lock).await.unwrap();

        let waiting = async |count: usize| {
            let waiting = "SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock'";
            database.wait_until(&format!("SELECT ({waiting}) = {count}")).await;
        };
        let begin = "SELECT begin_event_segment(1)";
        let first = async { one.batch_execute(begin).await.unwrap() };
        let second = async {
            waiting(1).await;
            other.batch_execute(begin).await.unwrap();
        };
        let use_transaction_ids = async || {
            for _ in 0..500 {
                database.execute("SELECT pg_current_xact_id()").await;
            }
        };
        // An append between the two, whose transaction id is much larger than that of the first.
        let append = async {
            waiting(2).await;
            between.batch_execute(lock).await.unwrap();
            use_transaction_ids().await;
            let append = "SET LOCAL diptych.keeps_streams = on;
                INSERT INTO streams VALUES ('raced', 1, 0);
                INSERT INTO events (
                    position, recorded_at, version, request_id, partition, stream_id, event_type, payload
                )
                SELECT (position_base + pg_current_xact_id()::text::bigint) << 20, statement_timestamp(), 1,
                    gen_random_uuid(), 0, 'raced', 'test.Happened', ''
                FROM installation;
                COMMIT";
            between.batch_execute(append).await.unwrap();
        };
        let commit = async {
            waiting(3).await;
            use_transaction_ids().await;
            holder.batch_execute("COMMIT").await.unwrap();
        };
        join(join(first, second), join(append, commit)).await;
        assert_eq!(segments_with_events(&database).await, 2, "a segment was begun");

        database.wait_until_settled().await;
        let page = handle.read_after(Position::START, 100).await.unwrap();
        assert_eq!(page.events.len(), 2);
        for version in 2..=4 {
            append_one(&handle, &unit("raced", version)).await;
        }
        let read = handle.read_stream_after(&stream("raced"), Default::default(), 100).await.unwrap();
        assert!(read.len() == 4 && read.is_sorted_by_key(|event| event.position));
        database.wait_until_settled().await;
        let later = handle.read_after(page.complete_up_to, 100).await.unwrap();
        assert_eq!(later.events.len(), 3, "an event is behind the cursor of a reader");
    });
}

/// No index covers all segments: the row of the stream is enough.
#[test]
fn a_concurrent_append_conflicts_by_the_row_of_its_stream_alone() {
    with_database(|database| async move {
        let handle = database.open().await;
        append_one(&handle, &unit("raced", 1)).await;
        database.execute("DROP INDEX events_1_by_stream").await;
        let holder = database.connect().await;
        let append = "BEGIN; UPDATE streams SET version = 2, version_before = 1 WHERE stream_id = 'raced'";
        holder.batch_execute(append).await.unwrap();
        let commit = async {
            let waits = "SELECT count(*) > 0 FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event = 'transactionid'";
            database.wait_until(waits).await;
            holder.batch_execute("COMMIT").await.unwrap();
        };
        let next = unit("raced", 2);
        let ((conflicts, _), ()) = join(append_rejected(&handle, &next), commit).await;
        assert_eq!((conflicts[0].expected.number(), conflicts[0].actual.number()), (1, 2));
        append_one(&handle, &unit("raced", 3)).await;
    });
}

/// An append that does not end must not block others behind a lock.
#[test]
fn a_new_segment_does_not_wait_long_for_its_lock() {
    with_database(|database| async move {
        let handle = open_with_small_segments(&database).await;
        append_one(&handle, &unit("goes-on", 1)).await;
        let holder = database.connect().await;
        holder.batch_execute("BEGIN; LOCK TABLE events IN ROW EXCLUSIVE MODE").await.unwrap();
        rotate(&handle).await;
        append_one(&handle, &unit("goes-on", 2)).await;
        assert_eq!(segments_with_events(&database).await, 1, "skipped until the next call");
        holder.batch_execute("COMMIT").await.unwrap();
        rotate(&handle).await;
        append_one(&handle, &unit("goes-on", 3)).await;
        assert_eq!(segments_with_events(&database).await, 2);
    });
}

#[test]
fn segments_are_made_ahead_and_only_read_ones_are_opened() {
    with_database(|database| async move {
        let handle = open_with_small_segments(&database).await;
        for version in 1..=3 {
            append_one(&handle, &unit("ahead", version)).await;
            rotate(&handle).await;
        }
        append_one(&handle, &unit("ahead", 4)).await;
        rotate(&handle).await;
        let counts = "SELECT (SELECT count(*) FROM event_segments), count(*) FROM pg_inherits
            WHERE inhparent = 'events'::regclass";
        let counts = database.row(counts, &[]).await;
        assert_eq!((counts.get::<_, i64>(0), counts.get::<_, i64>(1)), (6, 6), "5 with events and one ahead of them");
        let cursor = handle.read_stream_after(&stream("ahead"), Default::default(), 4).await.unwrap()[3].position;
        let client = database.connect().await;
        client.batch_execute(include_str!("../../queries/schema/session.sql")).await.unwrap();
        for (name, statement, parameters) in [
            ("read_after", include_str!("../../queries/read_after.sql"), format!("{cursor}, 10")),
            (
                "read_partition_after",
                include_str!("../../queries/read_partition_after.sql"),
                format!("{cursor}, 10, 1"),
            ),
            ("last_readable_position", include_str!("../../queries/last_readable_position.sql"), cursor.to_string()),
        ] {
            client.batch_execute(&format!("PREPARE {name} AS {statement}")).await.unwrap();
            let plan = client.query(&format!("EXPLAIN EXECUTE {name} ({parameters})"), &[]).await.unwrap();
            let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
            let plan = plan.join("\n");
            assert!(plan.contains("Subplans Removed: 3"), "{plan}");
            assert!(!plan.contains(" on events_3 ") && !plan.contains("Sort"), "{plan}");
        }
    });
}

#[test]
fn request_ids_are_forgotten_also_if_segments_cannot_be_made() {
    with_database(|database| async move {
        let config = PostgresConfig { request_partition_interval: Duration::ZERO, ..database.config() };
        let handle = PostgresEventStore::open(config).await.unwrap();
        append_one(&handle, &unit("old", 1)).await;
        rotate(&handle).await;
        database.advance(Duration::from_secs(60)).await;
        let cutoff = append_one(&handle, &unit("old", 2)).await.committed_at;
        database.execute("ALTER TABLE event_segments RENAME TO hidden").await;
        assert_eq!(handle.forget_requests(cutoff, 100).await.unwrap(), 1);
    });
}

/// A program that was started before the migration does not update the table of streams.
#[test]
fn events_from_a_session_of_an_older_program_are_refused() {
    with_database(|database| async move {
        let client = database.connect().await;
        let insert = "INSERT INTO events (
                position, recorded_at, version, request_id, partition, stream_id, event_type, payload
            ) VALUES (1, now(), 1, gen_random_uuid(), 0, 'old', 'test.Happened', '')";
        let error = client.batch_execute(insert).await.unwrap_err();
        let message = error.as_db_error().unwrap().message();
        assert!(message.contains("does not update the table streams"), "{message}");
        tokio::time::timeout(Duration::from_secs(20), append_one(&database.open().await, &unit("old", 1)))
            .await
            .unwrap();
    });
}
