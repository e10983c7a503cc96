//! Age of request ids under a clock that is wrong.

use std::{sync::Arc, time::Duration};

use diptych_kernel::{Clock, Timestamp, ports::EventStore, testing::ManualClock};

use super::fixtures::{append, open_events, request_id};
use crate::{ClockComparison, EmbeddedEventStore};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn later(clock: &ManualClock, by: Duration) -> Arc<ManualClock> {
    Arc::new(ManualClock::starting_at(clock.now().plus_micros(micros(by))))
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap()
}

/// Forgets as a service does that keeps request ids for 30 days.
async fn forget(events: &EmbeddedEventStore, clock: &ManualClock) -> usize {
    let before = clock.now().plus_micros(-micros(30 * DAY));
    events.forget_requests(before, 1_000).await.unwrap()
}

async fn is_remembered(events: &EmbeddedEventStore, number: u32) -> bool {
    !events.load(&[], 1, &[request_id(number)]).await.unwrap().requests.is_empty()
}

#[tokio::test]
async fn one_start_with_a_clock_far_ahead_forgets_no_request_id() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    let events = open_events(folder.path(), &clock);
    append(&events, 1, 1).await;
    assert_eq!(forget(&events, &clock).await, 0);
    drop(events);

    let wrong = later(&clock, 400 * DAY);
    let events = open_events(folder.path(), &wrong);
    let comparison = events.compare_clock().await.unwrap();
    assert_eq!((comparison.jumped_ahead, comparison.retention_lag), (400 * DAY, 400 * DAY));
    for _ in 0..10 {
        assert_eq!(forget(&events, &wrong).await, 0);
        wrong.advance(DAY);
    }
    assert!(is_remembered(&events, 1).await);
    drop(events);

    let events = open_events(folder.path(), &clock);
    assert_eq!(forget(&events, &clock).await, 0);
    assert!(is_remembered(&events, 1).await);
}

#[tokio::test]
async fn request_ids_are_forgotten_after_the_time_that_really_passed() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    let events = open_events(folder.path(), &clock);
    append(&events, 1, 1).await;
    events.compare_clock().await.unwrap();
    clock.advance(20 * DAY);
    append(&events, 2, 1).await;
    events.compare_clock().await.unwrap();
    drop(events);

    // Two handles count the same time once.
    let handles = [open_events(folder.path(), &clock), open_events(folder.path(), &clock)];
    for events in &handles {
        events.compare_clock().await.unwrap();
    }
    clock.advance(9 * DAY);
    for events in &handles {
        assert_eq!(forget(events, &clock).await, 0);
    }
    clock.advance(2 * DAY);
    assert_eq!(forget(&handles[0], &clock).await, 1);
    assert!(!is_remembered(&handles[1], 1).await && is_remembered(&handles[1], 2).await);
}

#[tokio::test]
async fn a_clock_set_ahead_while_running_forgets_nothing_and_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    let events = open_events(folder.path(), &clock);
    assert_eq!(events.compare_clock().await.unwrap(), ClockComparison::default(), "without events");
    append(&events, 1, 1).await;
    events.compare_clock().await.unwrap();
    let right = clock.now();
    clock.set(right.plus_micros(micros(3_650 * DAY)));
    assert_eq!(events.compare_clock().await.unwrap().jumped_ahead, 3_650 * DAY);
    assert_eq!(events.compare_clock().await.unwrap().jumped_ahead, Duration::ZERO, "reported once");
    assert_eq!(forget(&events, &clock).await, 0);

    // An event of that time makes the right clock fall behind.
    append(&events, 2, 1).await;
    clock.set(right);
    let comparison = events.compare_clock().await.unwrap();
    assert_eq!((comparison.behind_newest_event, comparison.retention_lag), (3_650 * DAY, Duration::ZERO));
    assert!(is_remembered(&events, 1).await);
}

#[tokio::test]
async fn a_folder_created_with_a_clock_in_the_past_forgets_request_ids_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::starting_at(Timestamp::from_micros(0)));
    let events = open_events(folder.path(), &clock);
    append(&events, 1, 1).await;
    events.compare_clock().await.unwrap();
    clock.set(ManualClock::default().now());
    append(&events, 2, 1).await;
    clock.advance(31 * DAY);
    assert_eq!(forget(&events, &clock).await, 1, "the one of the past");
    clock.advance(31 * DAY);
    assert_eq!(forget(&events, &clock).await, 0, "its age counts from the retention time, which has just reached it");
    clock.advance(31 * DAY);
    assert_eq!(forget(&events, &clock).await, 1);
}

#[tokio::test]
async fn a_clock_far_ahead_is_reported_after_a_run_that_compared_none() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    append(&open_events(folder.path(), &clock), 1, 1).await;
    let events = open_events(folder.path(), &later(&clock, 400 * DAY));
    assert_eq!(events.compare_clock().await.unwrap().jumped_ahead, 400 * DAY);
}
