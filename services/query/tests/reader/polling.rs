//! Poll frequency of progress: low while no call waits, high while one does, with one load for all of them.

use std::time::Duration;

use diptych_query::QueryConfig;
use diptych_runtime::pause;
use futures::future::join_all;
use tokio::time::Instant;

use crate::harness::{QueryHarness, SEATS, after, key, seat, token};

const POLL_INTERVAL: Duration = Duration::from_millis(100);
const POLL_INTERVAL_WHILE_WAITING: Duration = Duration::from_millis(2);

/// Starts with a read database that signals no saves, like one in another process.
async fn without_signals() -> QueryHarness {
    let config = QueryConfig {
        progress_poll_interval: POLL_INTERVAL,
        progress_poll_interval_while_waiting: POLL_INTERVAL_WHILE_WAITING,
        ..QueryConfig::default()
    };
    let harness = QueryHarness::with(config).await;
    harness.store.disable_signals();
    // Ends the wait that began while saves were still signalled, so that the next wait has full length.
    pause(POLL_INTERVAL).await;
    harness
}

/// Returns how often progress is loaded during `duration`.
async fn loads(harness: &QueryHarness, duration: Duration) -> usize {
    let before = harness.store.loads();
    pause(duration).await;
    harness.store.loads() - before
}

#[tokio::test(start_paused = true)]
async fn progress_without_signals_is_polled_often_only_while_calls_wait() {
    let harness = without_signals().await;
    let second = Duration::from_secs(1);
    assert!((9..=11).contains(&loads(&harness, second).await));
    let (seat, nine) = (seat(0, 0), token(&[(0, 9)]));
    let waiting = harness.reader.get(SEATS, &seat, key(&seat), &nine, after(1_000));
    let (answer, while_waiting) = tokio::join!(waiting, loads(&harness, second));
    assert!(answer.is_err());
    assert!((490..=510).contains(&while_waiting), "{while_waiting}");
    // The last short wait may just have begun.
    assert!((9..=12).contains(&loads(&harness, second).await));
}

#[tokio::test(start_paused = true)]
async fn the_first_waiting_call_triggers_a_load_at_once() {
    let harness = without_signals().await;
    let seat = seat(0, 0);
    harness.project(&seat, 9, "taken").await;
    harness.cache.set_down(true);
    let began_at = Instant::now();
    assert_eq!(harness.body(&seat, &token(&[(0, 9)])).await, "taken");
    assert!(began_at.elapsed() < POLL_INTERVAL_WHILE_WAITING, "{:?}", began_at.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_waiting_call_sees_progress_saved_by_another_process_within_the_interval() {
    let harness = without_signals().await;
    let (seat, nine) = (seat(0, 0), token(&[(0, 9)]));
    let saving = async {
        pause(Duration::from_millis(333)).await;
        harness.project(&seat, 9, "taken").await;
        Instant::now()
    };
    let reading = async {
        let body = harness.body(&seat, &nine).await;
        (body, Instant::now())
    };
    let ((body, seen_at), saved_at) = tokio::join!(reading, saving);
    assert_eq!(body, "taken");
    // The poll interval plus two timer ticks of a millisecond.
    assert!(seen_at - saved_at <= POLL_INTERVAL_WHILE_WAITING + Duration::from_millis(2), "{:?}", seen_at - saved_at);
}

#[tokio::test(start_paused = true)]
async fn one_load_serves_all_waiting_calls() {
    let harness = without_signals().await;
    let nine = token(&[(0, 9)]);
    let seats: Vec<_> = (0..100).map(|number| seat(0, number)).collect();
    let reading = join_all(seats.iter().map(|seat| harness.get(seat, &nine)));
    let saving = async {
        let while_waiting = loads(&harness, Duration::from_millis(500)).await;
        harness.progress(SEATS, 0, 9).await;
        while_waiting
    };
    let (answers, while_waiting) = tokio::join!(reading, saving);
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert!((245..=255).contains(&while_waiting), "{while_waiting}");
}

#[tokio::test(start_paused = true)]
async fn a_read_database_that_signals_saves_is_not_polled_for_waiting_calls() {
    let harness = QueryHarness::with(QueryConfig {
        progress_poll_interval_while_waiting: POLL_INTERVAL,
        ..QueryConfig::default()
    })
    .await;
    let (seat, nine) = (seat(0, 0), token(&[(0, 9)]));
    let saving = async {
        let while_waiting = loads(&harness, Duration::from_millis(500)).await;
        harness.project(&seat, 9, "taken").await;
        (while_waiting, Instant::now())
    };
    let reading = async {
        let body = harness.body(&seat, &nine).await;
        (body, Instant::now())
    };
    let ((body, seen_at), (while_waiting, saved_at)) = tokio::join!(reading, saving);
    assert_eq!((body.as_str(), seen_at - saved_at), ("taken", Duration::ZERO));
    assert!(while_waiting <= 6, "{while_waiting}");
}
