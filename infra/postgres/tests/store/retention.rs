//! Age of request ids under a clock that is wrong.

use std::{sync::Arc, time::Duration};

use diptych_kernel::{
    Clock, Timestamp, Version,
    ports::{AppendUnit, EventStore, RefusalOutcome, RefusalUnit},
    testing::ManualClock,
};
use diptych_postgres::{PostgresConfig, PostgresEventStore};

use crate::support::{
    Database,
    appends::{append_one, find_request, stream, unit},
    with_database,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap()
}

/// A clock that shows the time of the server.
async fn clock_of(database: &Database) -> Arc<ManualClock> {
    let now = "SELECT (extract(epoch FROM statement_timestamp()) * 1000000)::bigint";
    Arc::new(ManualClock::starting_at(Timestamp::from_micros(database.row(now, &[]).await.get(0))))
}

async fn open(database: &Database, clock: &Arc<ManualClock>) -> PostgresEventStore {
    PostgresEventStore::open_with_clock(database.config(), Arc::clone(clock) as Arc<dyn Clock>).await.unwrap()
}

/// Forgets as a service does that keeps request ids for 30 days.
async fn forget(events: &PostgresEventStore, clock: &ManualClock) -> usize {
    let before = clock.now().plus_micros(-micros(30 * DAY));
    events.forget_requests(before, 1_000).await.unwrap()
}

#[test]
fn a_process_with_a_clock_far_ahead_forgets_no_request_id() {
    with_database(|database| async move {
        let clock = clock_of(&database).await;
        let events = open(&database, &clock).await;
        let kept = unit("kept", 1);
        append_one(&events, &kept).await;
        assert_eq!(forget(&events, &clock).await, 0);

        let wrong = Arc::new(ManualClock::starting_at(clock.now().plus_micros(micros(400 * DAY))));
        let events = open(&database, &wrong).await;
        for _ in 0..3 {
            assert_eq!(forget(&events, &wrong).await, 0);
            wrong.set(wrong.now().plus_micros(micros(DAY)));
        }
        assert!(find_request(&events, &kept).await.is_some());
    });
}

#[test]
fn a_server_whose_clock_is_set_ahead_forgets_no_request_id() {
    with_database(|database| async move {
        let clock = clock_of(&database).await;
        let events = open(&database, &clock).await;
        let kept = unit("kept", 1);
        append_one(&events, &kept).await;
        assert_eq!(forget(&events, &clock).await, 0);
        database.advance(400 * DAY).await;
        clock.set(clock.now().plus_micros(micros(400 * DAY)));
        append_one(&events, &unit("kept", 2)).await;
        for _ in 0..3 {
            assert_eq!(forget(&events, &clock).await, 0);
        }
        assert!(find_request(&events, &kept).await.is_some());

        // Neither does a process that starts now.
        let events = open(&database, &clock).await;
        assert_eq!(forget(&events, &clock).await, 0);
        assert!(find_request(&events, &kept).await.is_some());
    });
}

#[test]
fn request_ids_are_forgotten_after_the_time_that_really_passed() {
    with_database(|database| async move {
        let clock = clock_of(&database).await;
        let handles = [open(&database, &clock).await, open(&database, &clock).await];
        let units: Vec<_> = (1..=3).map(|version| unit("aged", version)).collect();
        append_one(&handles[0], &units[0]).await;
        for events in &handles {
            assert_eq!(forget(events, &clock).await, 0);
        }
        let pass = async |time: Duration| {
            database.advance(time).await;
            clock.advance(time);
        };
        pass(20 * DAY).await;
        append_one(&handles[0], &units[1]).await;
        // Both count the same time once.
        for events in &handles {
            assert_eq!(forget(events, &clock).await, 0);
        }
        pass(9 * DAY).await;
        append_one(&handles[0], &units[2]).await;
        for events in &handles {
            assert_eq!(forget(events, &clock).await, 0);
        }
        pass(2 * DAY).await;
        assert_eq!(forget(&handles[0], &clock).await, 0, "the newest event is 29 days younger only");
        append_one(&handles[0], &unit("other", 1)).await;
        assert_eq!(forget(&handles[1], &clock).await, 1);
        assert_eq!(find_request(&handles[0], &units[0]).await, None);
        assert!(find_request(&handles[0], &units[1]).await.is_some());
    });
}

#[test]
fn a_request_id_stored_while_the_clock_of_the_server_was_behind_is_kept_as_long_as_others() {
    with_database(|database| async move {
        let clock = clock_of(&database).await;
        let config = PostgresConfig { request_partition_interval: Duration::ZERO, ..database.config() };
        let shared = Arc::clone(&clock) as Arc<dyn Clock>;
        let events = PostgresEventStore::open_with_clock(config, shared).await.unwrap();
        append_one(&events, &unit("kept", 1)).await;
        assert_eq!(forget(&events, &clock).await, 0);

        database.execute("UPDATE test.clock SET ahead = - interval '40 days'").await;
        let (kept, refused) = (unit("kept", 2), refusal("kept", 2));
        let receipt = append_one(&events, &kept).await;
        assert_eq!(events.refuse(std::slice::from_ref(&refused)).await.unwrap(), [RefusalOutcome::Stored]);
        assert_eq!(forget(&events, &clock).await, 0);
        database.execute("UPDATE test.clock SET ahead = interval '0'").await;
        append_one(&events, &unit("kept", 3)).await;
        for _ in 0..3 {
            assert_eq!(forget(&events, &clock).await, 0);
        }
        assert_eq!(find_request(&events, &kept).await.unwrap().receipt(), Some(&receipt));
        assert_eq!(events.load(&[], 1, &[refused.request_id]).await.unwrap().requests.len(), 1);

        database.advance(31 * DAY).await;
        clock.advance(31 * DAY);
        append_one(&events, &unit("kept", 4)).await;
        assert_eq!(forget(&events, &clock).await, 4, "all ids of the time before");
        assert_eq!(find_request(&events, &kept).await, None);
    });
}

fn refusal(stream_id: &str, version: u32) -> RefusalUnit {
    let AppendUnit { request_id, fingerprint, .. } = unit(stream_id, version);
    let streams = vec![(stream(stream_id), Version::new(version))];
    RefusalUnit { request_id, fingerprint, streams, refusal: b"refused".as_slice().into() }
}

/// A clock that is wrong when the retention time is first stored cannot be told from a right one.
#[test]
fn a_run_that_would_forget_far_more_than_usual_is_refused() {
    with_database(|database| async move {
        let clock = clock_of(&database).await;
        let events = open(&database, &clock).await;
        let kept = unit("kept", 1);
        append_one(&events, &kept).await;
        database.advance(400 * DAY).await;
        clock.set(clock.now().plus_micros(micros(400 * DAY)));
        append_one(&events, &unit("kept", 2)).await;
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let _guard = metrics::set_default_local_recorder(&recorder);
        let events = open(&database, &clock).await;
        assert_eq!(forget(&events, &clock).await, 0);
        assert!(find_request(&events, &kept).await.is_some());
        let text = recorder.handle().render();
        assert!(text.contains("diptych_postgres_request_forgetting_refused_total 1"), "{text}");

        // The statement of the warning allows it.
        database
            .execute("UPDATE installation SET requests_forgotten_before = retention_time - interval '30 days'")
            .await;
        assert_eq!(forget(&events, &clock).await, 0);
        assert_eq!(find_request(&events, &kept).await, None);
    });
}

#[test]
fn the_difference_between_the_clocks_is_a_metric() {
    with_database(|database| async move {
        let clock = clock_of(&database).await;
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let _guard = metrics::set_default_local_recorder(&recorder);
        let events = open(&database, &clock).await;
        for (ahead, range) in [(3_600, 3_000.0..3_601.0), (-7_200, -7_800.0..-7_199.0)] {
            let right = clock_of(&database).await.now();
            clock.set(right.plus_micros(ahead * 1_000_000));
            forget(&events, &clock).await;
            let text = recorder.handle().render();
            let value = text.lines().find_map(|line| line.strip_prefix("diptych_postgres_clock_difference_seconds "));
            let value: f64 = value.unwrap().parse().unwrap();
            assert!(range.contains(&value), "{value} for {ahead}");
        }
    });
}
