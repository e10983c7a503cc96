//! Failures of the read database, the cache and progress: retried, worked around, or reported.

use std::time::Duration;

use diptych_kernel::Token;
use diptych_query::{QueryConfig, QueryError};
use diptych_runtime::Failure;
use tokio::time::Instant;

use crate::harness::{QueryHarness, SEATS, after, key, row, seat, token};

#[tokio::test(start_paused = true)]
async fn without_the_read_database_fresh_cached_rows_are_answered() {
    let harness = QueryHarness::start().await;
    let (cached, other) = (seat(0, 0), seat(0, 1));
    harness.project(&cached, 5, "free").await;
    harness.until_seen(0, 5).await;
    harness.store.set_down(true);
    assert_eq!(harness.body(&cached, &token(&[(0, 5)])).await, "free");
    let began_at = Instant::now();
    assert_eq!(harness.get(&other, &Token::default()).await, Err(QueryError::Unavailable));
    assert!(began_at.elapsed() < Duration::from_millis(200), "{:?}", began_at.elapsed());
    // A token that the cache cannot satisfy does not affect calls that it can answer.
    assert!(harness.get(&cached, &token(&[(0, 6)])).await.is_err());
    assert_eq!(harness.body(&cached, &token(&[(0, 5)])).await, "free");
    harness.store.set_down(false);
    assert_eq!(harness.body(&other, &Token::default()).await, "");
}

#[tokio::test(start_paused = true)]
async fn without_the_read_database_aged_cached_rows_are_answered() {
    let harness = QueryHarness::start().await;
    let seat = seat(0, 0);
    harness.project(&seat, 5, "free").await;
    harness.progress(SEATS, 0, 500).await;
    harness.until_seen(0, 500).await;
    harness.store.set_down(true);
    let answer = harness.get(&seat, &Token::default()).await.unwrap();
    assert_eq!(answer.value.unwrap(), "free");
    assert_eq!(answer.read_at.token, token(&[(0, 5)]), "the row is not as fresh as the progress");
    assert_eq!(harness.get(&seat, &token(&[(0, 500)])).await, Err(QueryError::Unavailable));
}

#[tokio::test(start_paused = true)]
async fn a_failed_read_is_retried() {
    let harness = QueryHarness::start().await;
    let seat = seat(0, 0);
    harness.write(SEATS, key(&seat), 1, "free").await;
    harness.store.fail_next(2);
    assert_eq!(harness.body(&seat, &Token::default()).await, "free");
    assert_eq!(harness.store.reads(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_error_that_needs_an_operator_is_not_retried() {
    let harness = QueryHarness::start().await;
    harness.store.fail_permanently();
    assert_eq!(harness.get(&seat(0, 0), &Token::default()).await, Err(QueryError::Internal));
    assert_eq!(harness.store.reads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_read_ends_at_the_deadline() {
    let harness = QueryHarness::start().await;
    harness.store.hold(true);
    let began_at = Instant::now();
    let seat = seat(0, 0);
    let answer = harness.reader.get(SEATS, &seat, key(&seat), &Token::default(), after(250)).await;
    assert_eq!(answer, Err(QueryError::Unavailable));
    assert_eq!(began_at.elapsed(), Duration::from_millis(250));
}

#[tokio::test(start_paused = true)]
async fn reads_in_flight_are_limited() {
    let harness = QueryHarness::with(QueryConfig { pending_reads_max: 1, ..QueryConfig::default() }).await;
    harness.store.hold(true);
    let (first, second, nothing) = (seat(0, 0), seat(0, 1), Token::default());
    let releasing = async {
        diptych_runtime::pause(Duration::from_millis(10)).await;
        harness.store.hold(false);
    };
    let (one, other, ()) = tokio::join!(harness.get(&first, &nothing), harness.get(&second, &nothing), releasing);
    assert_eq!(one.unwrap().value, None);
    assert_eq!(other, Err(QueryError::Overloaded));
}

#[tokio::test(start_paused = true)]
async fn without_the_cache_all_rows_are_answered() {
    let harness = QueryHarness::start().await;
    let seat = seat(0, 0);
    harness.project(&seat, 5, "free").await;
    harness.cache.set_down(true);
    assert_eq!(harness.body(&seat, &token(&[(0, 5)])).await, "free");
    harness.cache.set_down(false);
    harness.cache.hold(true);
    harness.write(SEATS, key(&seat), 9, "taken").await;
    harness.progress(SEATS, 0, 9).await;
    assert_eq!(harness.body(&seat, &token(&[(0, 9)])).await, "taken");
    harness.cache.hold(false);
    assert_eq!(harness.body(&seat, &token(&[(0, 9)])).await, "taken");
}

/// The call answers the row of the read database, which the cached one must not contradict later.
#[tokio::test(start_paused = true)]
async fn a_row_is_invalidated_if_its_lookup_in_the_cache_timed_out() {
    let harness = QueryHarness::start().await;
    let seat = seat(0, 0);
    harness.project(&seat, 5, "free").await;
    harness.until_seen(0, 5).await;
    harness.cache.hold(true);
    assert_eq!(harness.body(&seat, &token(&[(0, 5)])).await, "free");
    assert_eq!(harness.cache.invalidated(), [key(&seat)]);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_is_gone_invalidates_nothing() {
    let harness = QueryHarness::start().await;
    let seat = seat(0, 0);
    harness.project(&seat, 5, "free").await;
    harness.cache.hold(true);
    let token = Token::default();
    assert!(tokio::time::timeout(Duration::from_millis(1), harness.body(&seat, &token)).await.is_err());
    harness.cache.hold(false);
    assert_eq!(harness.cache.invalidated(), []);
}

#[tokio::test(start_paused = true)]
async fn calls_are_unavailable_until_progress_is_loaded() {
    let harness = QueryHarness::set_up(QueryConfig::default()).await;
    harness.store.set_down(true);
    let seat = seat(0, 0);
    harness.refresh(&seat, row(5, 5, "free")).await;
    let reader = harness.reader.clone();
    assert!(!reader.is_ready());
    assert_eq!(harness.get(&seat, &Token::default()).await, Err(QueryError::Unavailable));
    harness.store.set_down(false);
    reader.ready().await;
    assert!(reader.is_ready());
    assert_eq!(harness.body(&seat, &Token::default()).await, "free");
}

#[tokio::test(start_paused = true)]
async fn while_progress_cannot_be_loaded_the_last_known_progress_is_used() {
    let harness = QueryHarness::start().await;
    let seat = seat(0, 0);
    harness.project(&seat, 5, "free").await;
    harness.until_seen(0, 5).await;
    harness.store.set_down(true);
    let answer = harness.reader.get(SEATS, &seat, key(&seat), &Token::default(), after(10_000)).await;
    assert_eq!(answer.unwrap().read_at.token, token(&[(0, 5)]));
    let seven = token(&[(0, 7)]);
    let waiting = harness.reader.get(SEATS, &seat, key(&seat), &seven, after(10_000));
    let recovering = async {
        diptych_runtime::pause(Duration::from_secs(4)).await;
        harness.project(&seat, 7, "taken").await;
        harness.cache.set_down(true);
        harness.store.set_down(false);
    };
    let (answer, ()) = tokio::join!(waiting, recovering);
    assert_eq!(answer.unwrap().value.unwrap(), "taken");
}

#[tokio::test(start_paused = true)]
async fn a_query_for_an_untracked_view_is_an_internal_error() {
    let harness = QueryHarness::start().await;
    let unknown = diptych_kernel::domain::ViewId { name: "plays", generation: 1 };
    let seat = seat(0, 0);
    let answer = harness.reader.get(unknown, &seat, key(&seat), &Token::default(), after(10)).await;
    assert_eq!(answer.clone().map(|_| ()), Err(QueryError::Internal));
    assert_eq!(answer.unwrap_err().into_failure(), Failure::Internal);
}
