//! G6: a query with the token of a command sees that command, or fails with `Behind`.

use std::time::Duration;

use diptych_kernel::{Partition, Token};
use diptych_query::{QueryConfig, QueryError};
use tokio::time::Instant;

use crate::harness::{QueryHarness, SEATS, after, key, position, row, seat, time, token};

fn behind(partition: u16, required: i64, reached: i64) -> QueryError {
    QueryError::Behind {
        view: SEATS,
        partition: Partition::new(partition),
        required: position(required),
        reached: position(reached),
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_waits_for_its_own_write() {
    let harness = QueryHarness::start().await;
    let seat = seat(0, 0);
    harness.project(&seat, 5, "free").await;
    assert_eq!(harness.body(&seat, &token(&[(0, 5)])).await, "free");
    let token = token(&[(0, 9)]);
    let reading = harness.get(&seat, &token);
    let writing = async {
        diptych_runtime::pause(Duration::from_millis(300)).await;
        harness.project(&seat, 9, "taken").await;
    };
    let (answer, ()) = tokio::join!(reading, writing);
    let answer = answer.unwrap();
    assert_eq!(answer.value.unwrap(), "taken");
    assert_eq!(answer.read_at.token, token);
    assert_eq!(answer.read_at.complete_up_to, Some(time(9)));
}

#[tokio::test(start_paused = true)]
async fn at_the_deadline_the_view_is_behind_and_nothing_older_is_answered() {
    let harness = QueryHarness::start().await;
    let seat = seat(0, 0);
    harness.project(&seat, 5, "free").await;
    harness.until_seen(0, 5).await;
    let began_at = Instant::now();
    let answer = harness.reader.get(SEATS, &seat, key(&seat), &token(&[(0, 9)]), after(300)).await;
    assert_eq!(answer, Err(behind(0, 9, 5)));
    assert_eq!(began_at.elapsed(), Duration::from_millis(300));
}

#[tokio::test(start_paused = true)]
async fn a_row_that_the_token_covers_is_never_absent() {
    let harness = QueryHarness::start().await;
    let seat = seat(0, 0);
    assert_eq!(harness.body(&seat, &Token::default()).await, "");
    assert_eq!(harness.get(&seat, &token(&[(0, 3)])).await, Err(behind(0, 3, 1)));
    harness.project(&seat, 3, "free").await;
    assert_eq!(harness.body(&seat, &token(&[(0, 3)])).await, "free");
}

#[tokio::test(start_paused = true)]
async fn a_row_that_never_was_is_absent_once_the_view_has_got_there() {
    let harness = QueryHarness::start().await;
    harness.progress(SEATS, 0, 7).await;
    let answer = harness.get(&seat(0, 0), &token(&[(0, 7)])).await.unwrap();
    assert_eq!(answer.value, None);
    assert_eq!(answer.read_at.token, token(&[(0, 7)]));
}

#[tokio::test(start_paused = true)]
async fn a_cached_row_is_fresh_by_its_own_position_before_progress_is_known() {
    let harness = QueryHarness::start().await;
    let seat = seat(0, 0);
    harness.refresh(&seat, row(9, 9, "taken")).await;
    assert_eq!(harness.body(&seat, &token(&[(0, 9)])).await, "taken");
    assert_eq!(harness.store.reads(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_cached_row_meets_the_token_of_another_stream_of_its_partition() {
    let harness = QueryHarness::start().await;
    let (idle, busy) = (seat(0, 0), seat(0, 1));
    harness.project(&idle, 5, "free").await;
    harness.project(&busy, 9, "taken").await;
    harness.until_seen(0, 9).await;
    // Forgotten and read again: the row is as of 9 from then on.
    let token = token(&[(0, 9)]);
    assert_eq!(harness.body(&idle, &token).await, "free");
    assert_eq!(harness.body(&idle, &token).await, "free");
    let reads = harness.store.reads();
    let answer = harness.get(&idle, &token).await.unwrap();
    assert_eq!(answer.value.unwrap(), "free");
    assert_eq!(answer.read_at.token, token);
    assert_eq!(harness.store.reads(), reads, "the cached row was not used");
}

#[tokio::test(start_paused = true)]
async fn positions_of_other_partitions_in_a_token_do_not_affect_a_row() {
    let harness = QueryHarness::start().await;
    let seat = seat(0, 0);
    harness.project(&seat, 5, "free").await;
    let began_at = Instant::now();
    assert_eq!(harness.body(&seat, &token(&[(0, 5), (1, 99), (3, 77)])).await, "free");
    assert_eq!(began_at.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn progress_of_one_partition_does_not_end_the_wait_for_another() {
    let harness = QueryHarness::start().await;
    harness.progress(SEATS, 1, 50).await;
    harness.until_seen(1, 50).await;
    assert_eq!(harness.get(&seat(0, 0), &token(&[(0, 9)])).await, Err(behind(0, 9, 1)));
}

#[tokio::test(start_paused = true)]
async fn waiting_calls_are_limited() {
    let harness = QueryHarness::with(QueryConfig { pending_waits_max: 1, ..QueryConfig::default() }).await;
    let (first, second) = (seat(0, 0), seat(0, 1));
    let token = token(&[(0, 9)]);
    let (one, other) = tokio::join!(harness.get(&first, &token), harness.get(&second, &token));
    assert_eq!(one, Err(behind(0, 9, 1)));
    assert_eq!(other, Err(QueryError::Overloaded));
    // The permit is free again.
    assert_eq!(harness.get(&second, &token).await, Err(behind(0, 9, 1)));
}

#[tokio::test(start_paused = true)]
async fn a_waiting_call_fails_at_once_when_the_process_stops() {
    let harness = QueryHarness::start().await;
    let began_at = Instant::now();
    let (seat, token) = (seat(0, 0), token(&[(0, 9)]));
    let stopping = async { harness.tasks.shutdown().begin() };
    let (answer, ()) = tokio::join!(harness.get(&seat, &token), stopping);
    assert_eq!(answer, Err(behind(0, 9, 1)));
    assert!(began_at.elapsed() < Duration::from_millis(100), "{:?}", began_at.elapsed());
    harness.tasks.finish(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn deadlines_leave_time_to_report_the_error_and_are_bounded() {
    let config = QueryConfig::default();
    let harness = QueryHarness::with(config.clone()).await;
    let now = Instant::now();
    let allowed = |client_timeout| harness.reader.deadline(client_timeout) - now;
    assert_eq!(allowed(None), config.call_timeout_default);
    assert_eq!(allowed(Some(Duration::from_secs(1))), Duration::from_millis(900));
    assert_eq!(allowed(Some(Duration::from_millis(1))), Duration::ZERO);
    assert_eq!(allowed(Some(Duration::MAX)), config.call_timeout_max);
}

#[tokio::test(start_paused = true)]
async fn before_the_first_progress_an_answer_has_no_time() {
    let harness = QueryHarness::set_up(QueryConfig::default()).await;
    harness.reader.ready().await;
    let answer = harness.get(&seat(0, 0), &Token::default()).await.unwrap();
    assert_eq!(answer.read_at.complete_up_to, None);
    assert!(answer.read_at.token.is_empty());
}
