//! Histories: a database that loses events under a running process, and going on after a restore.

use std::time::Duration;

use diptych_kernel::{
    Position,
    ports::{CursorOutcome, Effect, EventStore, LeaseOutcome, PortError, RelayState, Remedy},
    vocabulary::HistoryComparison,
};
use diptych_postgres::{PostgresConfig, PostgresEventStore, RebaseReport, rebase};

use crate::support::{
    Database, HORIZON,
    appends::{append_one, stream_versions, unit},
    with_database,
};

/// Longer than any of these tests takes.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Closes the connections of all handles, as a restart of the server does.
async fn disconnect(database: &Database) {
    database
        .execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE 'diptych%'",
        )
        .await;
}

/// Repeats an append until it fails for an operator: a closed connection fails for once.
async fn refused(handle: &PostgresEventStore, version: u32) -> PortError {
    loop {
        match handle.append(&[unit("lost", version)], &[]).await {
            Err(error) if error.remedy() == Remedy::Operator => return error,
            Err(_) => {}
            Ok(outcome) => panic!("the append was accepted: {outcome:?}"),
        }
    }
}

#[test]
fn a_database_that_went_back_under_a_running_process_is_refused() {
    with_database(|database| async move {
        let handle = database.open().await;
        append_one(&handle, &unit("lost", 1)).await;
        append_one(&handle, &unit("lost", 2)).await;
        database.execute("DELETE FROM events WHERE version = 2; DELETE FROM requests WHERE true").await;
        disconnect(&database).await;
        let error = refused(&handle, 2).await;
        assert!(error.to_string().contains("went back") && error.to_string().contains("diptych rebase"), "{error}");
        let read = handle.read_after(Position::START, 10).await.unwrap_err();
        assert_eq!(read.remedy(), Remedy::Operator, "{read}");
        // A process that does not know the event is refused too.
        let other = database.open().await;
        let error = refused(&other, 2).await;
        assert!(error.to_string().contains("went back"), "{error}");
    });
}

#[test]
fn another_event_at_the_position_of_a_known_one_is_noticed() {
    with_database(|database| async move {
        let handle = database.open().await;
        append_one(&handle, &unit("lost", 1)).await;
        database.execute("UPDATE events SET request_id = gen_random_uuid()").await;
        disconnect(&database).await;
        let error = refused(&handle, 2).await;
        assert!(error.to_string().contains("went back"), "{error}");
    });
}

#[test]
fn a_server_that_comes_back_with_its_events_is_used_again() {
    with_database(|database| async move {
        let handle = database.open().await;
        append_one(&handle, &unit("kept", 1)).await;
        disconnect(&database).await;
        while handle.append(&[unit("kept", 2)], &[]).await.is_err() {}
        assert_eq!(stream_versions(&handle, "kept").await, [1, 2]);
    });
}

#[test]
fn a_rebase_needs_all_other_processes_to_be_stopped() {
    with_database(|database| async move {
        let config = PostgresConfig { application_name: "diptych pod-7".to_owned(), ..database.config() };
        let handle = PostgresEventStore::open(config).await.unwrap();
        append_one(&handle, &unit("kept", 1)).await;
        let own = PostgresConfig { application_name: "diptych rebase".to_owned(), ..database.config() };
        let error = rebase(&own, Position::START).await.unwrap_err();
        assert!(error.to_string().contains("diptych pod-7"), "{error}");
    });
}

#[test]
fn a_process_that_runs_on_after_a_rebase_is_refused_when_it_connects_again() {
    with_database(|database| async move {
        let handle = database.open().await;
        append_one(&handle, &unit("kept", 1)).await;
        database.execute("INSERT INTO histories (begins_after) SELECT max(position) FROM events").await;
        disconnect(&database).await;
        let error = refused(&handle, 2).await;
        assert!(error.to_string().contains("`diptych rebase` was run"), "{error}");
    });
}

/// Moves the relay's cursor, as after publishing everything up to there.
async fn move_cursor_to(handle: &PostgresEventStore, position: Position) {
    let LeaseOutcome::Held { fence, mut cursor } = handle.acquire_lease("relay", TIMEOUT).await.unwrap() else {
        panic!("another relay leads");
    };
    cursor.published_up_to = position;
    assert_eq!(handle.move_cursor(fence, &cursor, TIMEOUT).await.unwrap(), CursorOutcome::Moved);
}

/// Rebases once the connections of dropped handles are closed.
async fn rebase_when_alone(config: &PostgresConfig, newest_known: Position) -> RebaseReport {
    loop {
        match rebase(config, newest_known).await {
            Ok(rebased) => return rebased,
            Err(error) => assert!(error.to_string().contains("processes use the write database"), "{error}"),
        }
    }
}

#[test]
fn a_cursor_that_is_moved_on_another_server_than_it_was_read_from_is_refused() {
    with_database(|database| async move {
        let _settled = HORIZON.write().await;
        let handle = database.open().await;
        append_one(&handle, &unit("kept", 1)).await;
        let lost = append_one(&handle, &unit("lost", 1)).await.streams[0].position;
        database.wait_until_settled().await;
        assert_eq!(handle.read_after(Position::START, 10).await.unwrap().events.len(), 2);
        // As if a standby without the newest event had taken over, on the same connections.
        database.execute("DELETE FROM events WHERE stream_id = 'lost'").await;
        let LeaseOutcome::Held { fence, mut cursor } = handle.acquire_lease("relay", TIMEOUT).await.unwrap() else {
            panic!("another relay leads");
        };
        cursor.published_up_to = lost;
        assert_eq!(handle.move_cursor(fence, &cursor, TIMEOUT).await.unwrap(), CursorOutcome::EventsLost);
        let LeaseOutcome::Held { cursor: stored, .. } = handle.acquire_lease("relay", TIMEOUT).await.unwrap() else {
            panic!("another relay leads");
        };
        assert_eq!(stored.published_up_to, Position::START, "nothing was moved");
    });
}

#[test]
fn a_rebase_begins_a_history_above_everything_that_was_known() {
    with_database(|database| async move {
        let _settled = HORIZON.write().await;
        let handle = database.open().await;
        let before = handle.installation().clone();
        let published = append_one(&handle, &unit("kept", 1)).await.streams[0].position;
        move_cursor_to(&handle, published).await;
        // Not published: its position may be that of a lost event on the log.
        let later = append_one(&handle, &unit("later", 1)).await.streams[0].position;
        handle.suspend_appends("the database went back").await.unwrap();
        let newest_known = Position::new(handle.next_position().await.unwrap().transaction_id() + 1_000, 7).unwrap();

        drop(handle);
        let own = PostgresConfig { application_name: "psql".to_owned(), ..database.config() };
        let rebased = rebase_when_alone(&own, newest_known).await;
        assert_eq!(rebased.last_position, later);
        let after = &rebased.installation;
        assert_eq!(after.token_key, before.token_key, "tokens of kept commands stay valid");
        let comparison = |position| after.history.comparison(before.history.id(), position);
        assert_eq!(comparison(published), HistoryComparison::Shared);
        for lost in [later, newest_known] {
            assert_eq!(comparison(lost), HistoryComparison::Lost { kept_up_to: published });
        }

        let handle = database.open().await;
        assert_eq!(handle.installation(), after);
        append_one(&handle, &unit("kept", 2)).await;
        database.wait_until_settled().await;
        let events = handle.read_after(rebased.last_position, 10).await.unwrap().events;
        assert_eq!(events.len(), 1);
        assert!(events[0].position > newest_known, "{events:?}");
    });
}

#[test]
fn a_missing_synchronous_standby_is_refused_where_one_is_required() {
    with_database(|database| async move {
        let config = PostgresConfig { synchronous_standby_required: true, ..database.config() };
        let error = PostgresEventStore::open(config).await.err().unwrap();
        // After a failover it is missing for a while only.
        assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Retry));
        let text = error.to_string();
        assert!(text.contains("synchronous_standby_names is empty"), "{text}");
        assert!(text.contains("postgres.synchronous_standby_required"), "{text}");
    });
}
