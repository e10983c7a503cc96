//! What fails is asked again, gone without, or said.

use std::time::Duration;

use diptych_kernel::Token;
use diptych_query::{QueryConfig, QueryError};
use diptych_runtime::Failure;
use tokio::time::Instant;

use crate::stage::{SEATS, Stage, after, key, row, seat, token};

#[tokio::test(start_paused = true)]
async fn without_the_read_database_what_is_cached_and_fresh_is_answered() {
    let stage = Stage::start().await;
    let (cached, other) = (seat(0, 0), seat(0, 1));
    stage.project(&cached, 5, "free").await;
    stage.until_seen(0, 5).await;
    stage.store.set_down(true);
    assert_eq!(stage.body(&cached, &token(&[(0, 5)])).await, "free");
    let began = Instant::now();
    assert_eq!(stage.get(&other, &Token::default()).await, Err(QueryError::Unavailable));
    assert!(began.elapsed() < Duration::from_millis(200), "{:?}", began.elapsed());
    // A token that the cache cannot meet does not take from the others what they can have.
    assert!(stage.get(&cached, &token(&[(0, 6)])).await.is_err());
    assert_eq!(stage.body(&cached, &token(&[(0, 5)])).await, "free");
    stage.store.set_down(false);
    assert_eq!(stage.body(&other, &Token::default()).await, "");
}

#[tokio::test(start_paused = true)]
async fn without_the_read_database_an_aged_row_is_answered_too() {
    let stage = Stage::start().await;
    let seat = seat(0, 0);
    stage.project(&seat, 5, "free").await;
    stage.progress(SEATS, 0, 500).await;
    stage.until_seen(0, 500).await;
    stage.store.set_down(true);
    let answer = stage.get(&seat, &Token::default()).await.unwrap();
    assert_eq!(answer.value.unwrap(), "free");
    assert_eq!(answer.read_at.token, token(&[(0, 5)]), "it is not as fresh as the progress");
    assert_eq!(stage.get(&seat, &token(&[(0, 500)])).await, Err(QueryError::Unavailable));
}

#[tokio::test(start_paused = true)]
async fn a_read_that_fails_is_tried_again() {
    let stage = Stage::start().await;
    let seat = seat(0, 0);
    stage.write(SEATS, key(&seat), 1, "free").await;
    stage.store.fail_next(2);
    assert_eq!(stage.body(&seat, &Token::default()).await, "free");
    assert_eq!(stage.store.reads(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_needs_an_operator_is_not_tried_again() {
    let stage = Stage::start().await;
    stage.store.set_broken();
    assert_eq!(stage.get(&seat(0, 0), &Token::default()).await, Err(QueryError::Internal));
    assert_eq!(stage.store.reads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_read_that_hangs_ends_with_the_deadline() {
    let stage = Stage::start().await;
    stage.store.hold(true);
    let began = Instant::now();
    let seat = seat(0, 0);
    let answer = stage.reader.get(SEATS, &seat, key(&seat), &Token::default(), after(250)).await;
    assert_eq!(answer, Err(QueryError::Unavailable));
    assert_eq!(began.elapsed(), Duration::from_millis(250));
}

#[tokio::test(start_paused = true)]
async fn only_so_many_may_read() {
    let stage = Stage::with(QueryConfig { pending_reads_max: 1, ..QueryConfig::default() }).await;
    stage.store.hold(true);
    let (first, second, nothing) = (seat(0, 0), seat(0, 1), Token::default());
    let releasing = async {
        diptych_runtime::pause(Duration::from_millis(10)).await;
        stage.store.hold(false);
    };
    let (one, other, ()) = tokio::join!(stage.get(&first, &nothing), stage.get(&second, &nothing), releasing);
    assert_eq!(one.unwrap().value, None);
    assert_eq!(other, Err(QueryError::Overloaded));
}

#[tokio::test(start_paused = true)]
async fn without_the_cache_everything_is_answered() {
    let stage = Stage::start().await;
    let seat = seat(0, 0);
    stage.project(&seat, 5, "free").await;
    stage.cache.set_down(true);
    assert_eq!(stage.body(&seat, &token(&[(0, 5)])).await, "free");
    stage.cache.set_down(false);
    stage.cache.hold(true);
    stage.write(SEATS, key(&seat), 9, "taken").await;
    stage.progress(SEATS, 0, 9).await;
    assert_eq!(stage.body(&seat, &token(&[(0, 9)])).await, "taken");
    stage.cache.hold(false);
    assert_eq!(stage.body(&seat, &token(&[(0, 9)])).await, "taken");
}

#[tokio::test(start_paused = true)]
async fn before_progress_is_loaded_nothing_is_answered() {
    let stage = Stage::set_up(QueryConfig::default()).await;
    stage.store.set_down(true);
    let seat = seat(0, 0);
    stage.refresh(&seat, row(5, 5, "free")).await;
    let reader = stage.reader.clone();
    assert!(!reader.is_ready());
    assert_eq!(stage.get(&seat, &Token::default()).await, Err(QueryError::Unavailable));
    stage.store.set_down(false);
    reader.ready().await;
    assert!(reader.is_ready());
    assert_eq!(stage.body(&seat, &Token::default()).await, "free");
}

#[tokio::test(start_paused = true)]
async fn while_progress_cannot_be_loaded_what_is_known_of_it_holds() {
    let stage = Stage::start().await;
    let seat = seat(0, 0);
    stage.project(&seat, 5, "free").await;
    stage.until_seen(0, 5).await;
    stage.store.set_down(true);
    let waiting = stage.reader.get(SEATS, &seat, key(&seat), &Token::default(), after(10_000)).await;
    assert_eq!(waiting.unwrap().read_at.token, token(&[(0, 5)]));
    let seven = token(&[(0, 7)]);
    let waiting = stage.reader.get(SEATS, &seat, key(&seat), &seven, after(10_000));
    let recovering = async {
        diptych_runtime::pause(Duration::from_secs(4)).await;
        stage.project(&seat, 7, "taken").await;
        stage.cache.set_down(true);
        stage.store.set_down(false);
    };
    let (answer, ()) = tokio::join!(waiting, recovering);
    assert_eq!(answer.unwrap().value.unwrap(), "taken");
}

#[tokio::test(start_paused = true)]
async fn a_view_that_nobody_follows_is_a_defect() {
    let stage = Stage::start().await;
    let unknown = diptych_kernel::domain::ViewId { name: "plays", generation: 1 };
    let seat = seat(0, 0);
    let answer = stage.reader.get(unknown, &seat, key(&seat), &Token::default(), after(10)).await;
    assert_eq!(answer.clone().map(|_| ()), Err(QueryError::Internal));
    assert_eq!(answer.unwrap_err().into_failure(), Failure::Internal);
}
