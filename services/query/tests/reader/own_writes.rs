//! G6: a query with the token of a command sees that command, or is told that it cannot.

use std::time::Duration;

use diptych_kernel::{Partition, Token};
use diptych_query::{QueryConfig, QueryError};
use tokio::time::Instant;

use crate::stage::{SEATS, Stage, after, key, position, row, seat, time, token};

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
    let stage = Stage::start().await;
    let seat = seat(0, 0);
    stage.project(&seat, 5, "free").await;
    assert_eq!(stage.body(&seat, &token(&[(0, 5)])).await, "free");
    let token = token(&[(0, 9)]);
    let reading = stage.get(&seat, &token);
    let writing = async {
        diptych_runtime::pause(Duration::from_millis(300)).await;
        stage.project(&seat, 9, "taken").await;
    };
    let (answer, ()) = tokio::join!(reading, writing);
    let answer = answer.unwrap();
    assert_eq!(answer.value.unwrap(), "taken");
    assert_eq!(answer.read_at.token, token);
    assert_eq!(answer.read_at.complete_up_to, Some(time(9)));
}

#[tokio::test(start_paused = true)]
async fn at_the_deadline_the_view_is_behind_and_nothing_older_is_answered() {
    let stage = Stage::start().await;
    let seat = seat(0, 0);
    stage.project(&seat, 5, "free").await;
    stage.until_seen(0, 5).await;
    let began = Instant::now();
    let answer = stage.reader.get(SEATS, &seat, key(&seat), &token(&[(0, 9)]), after(300)).await;
    assert_eq!(answer, Err(behind(0, 9, 5)));
    assert_eq!(began.elapsed(), Duration::from_millis(300));
}

#[tokio::test(start_paused = true)]
async fn a_row_that_the_token_made_is_never_absent() {
    let stage = Stage::start().await;
    let seat = seat(0, 0);
    assert_eq!(stage.body(&seat, &Token::default()).await, "");
    assert_eq!(stage.get(&seat, &token(&[(0, 3)])).await, Err(behind(0, 3, 1)));
    stage.project(&seat, 3, "free").await;
    assert_eq!(stage.body(&seat, &token(&[(0, 3)])).await, "free");
}

#[tokio::test(start_paused = true)]
async fn a_row_that_never_was_is_absent_once_the_view_has_got_there() {
    let stage = Stage::start().await;
    stage.progress(SEATS, 0, 7).await;
    let answer = stage.get(&seat(0, 0), &token(&[(0, 7)])).await.unwrap();
    assert_eq!(answer.value, None);
    assert_eq!(answer.read_at.token, token(&[(0, 7)]));
}

#[tokio::test(start_paused = true)]
async fn a_cached_row_is_fresh_by_its_own_position_before_progress_is_known() {
    let stage = Stage::start().await;
    let seat = seat(0, 0);
    stage.refresh(&seat, row(9, 9, "taken")).await;
    assert_eq!(stage.body(&seat, &token(&[(0, 9)])).await, "taken");
    assert_eq!(stage.store.reads(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_cached_row_meets_the_token_of_another_stream_of_its_partition() {
    let stage = Stage::start().await;
    let (quiet, busy) = (seat(0, 0), seat(0, 1));
    stage.project(&quiet, 5, "free").await;
    stage.project(&busy, 9, "taken").await;
    stage.until_seen(0, 9).await;
    // Forgotten and read again: the row is as of 9 from then on.
    let token = token(&[(0, 9)]);
    assert_eq!(stage.body(&quiet, &token).await, "free");
    assert_eq!(stage.body(&quiet, &token).await, "free");
    let reads = stage.store.reads();
    let answer = stage.get(&quiet, &token).await.unwrap();
    assert_eq!(answer.value.unwrap(), "free");
    assert_eq!(answer.read_at.token, token);
    assert_eq!(stage.store.reads(), reads, "the cached row was not used");
}

#[tokio::test(start_paused = true)]
async fn what_a_token_says_of_other_partitions_does_not_matter_to_a_row() {
    let stage = Stage::start().await;
    let seat = seat(0, 0);
    stage.project(&seat, 5, "free").await;
    let began = Instant::now();
    assert_eq!(stage.body(&seat, &token(&[(0, 5), (1, 99), (3, 77)])).await, "free");
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn progress_of_one_partition_does_not_end_the_wait_for_another() {
    let stage = Stage::start().await;
    stage.progress(SEATS, 1, 50).await;
    stage.until_seen(1, 50).await;
    assert_eq!(stage.get(&seat(0, 0), &token(&[(0, 9)])).await, Err(behind(0, 9, 1)));
}

#[tokio::test(start_paused = true)]
async fn only_so_many_may_wait() {
    let stage = Stage::with(QueryConfig { pending_waits_max: 1, ..QueryConfig::default() }).await;
    let (first, second) = (seat(0, 0), seat(0, 1));
    let token = token(&[(0, 9)]);
    let (one, other) = tokio::join!(stage.get(&first, &token), stage.get(&second, &token));
    assert_eq!(one, Err(behind(0, 9, 1)));
    assert_eq!(other, Err(QueryError::Overloaded));
    // The place is free again.
    assert_eq!(stage.get(&second, &token).await, Err(behind(0, 9, 1)));
}

#[tokio::test(start_paused = true)]
async fn who_waits_while_the_process_stops_is_told_at_once() {
    let stage = Stage::start().await;
    let began = Instant::now();
    let (seat, token) = (seat(0, 0), token(&[(0, 9)]));
    let stopping = async { stage.tasks.shutdown().begin() };
    let (answer, ()) = tokio::join!(stage.get(&seat, &token), stopping);
    assert_eq!(answer, Err(behind(0, 9, 1)));
    assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
    stage.tasks.finish(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn deadlines_leave_time_to_say_why_and_have_an_end() {
    let config = QueryConfig::default();
    let stage = Stage::with(config.clone()).await;
    let now = Instant::now();
    let allowed = |asked| stage.reader.deadline(asked) - now;
    assert_eq!(allowed(None), config.wait_default);
    assert_eq!(allowed(Some(Duration::from_secs(1))), Duration::from_millis(900));
    assert_eq!(allowed(Some(Duration::from_millis(1))), Duration::ZERO);
    assert_eq!(allowed(Some(Duration::MAX)), config.wait_max);
}

#[tokio::test(start_paused = true)]
async fn before_the_first_progress_an_answer_has_no_time() {
    let stage = Stage::set_up(QueryConfig::default()).await;
    stage.reader.ready().await;
    let answer = stage.get(&seat(0, 0), &Token::default()).await.unwrap();
    assert_eq!(answer.read_at.complete_up_to, None);
    assert!(answer.read_at.token.is_empty());
}
