//! G7 and the cost of a miss: what the cache keeps, takes and gives.

use std::time::Duration;

use diptych_kernel::{
    Token,
    ports::{CacheRead, ViewCache},
};
use diptych_query::QueryConfig;
use futures::future::join_all;

use crate::stage::{SEATS, Stage, key, row, seat, text, token};

#[tokio::test(start_paused = true)]
async fn a_thousand_who_miss_together_read_once() {
    let stage = Stage::start().await;
    let seat = seat(0, 0);
    stage.write(SEATS, key(&seat), 1, "free").await;
    stage.store.hold(true);
    let token = Token::default();
    let reading = join_all((0..1_000).map(|_| stage.get(&seat, &token)));
    let releasing = async {
        diptych_runtime::pause(Duration::from_millis(100)).await;
        stage.store.hold(false);
    };
    let (answers, ()) = tokio::join!(reading, releasing);
    for answer in answers {
        assert_eq!(text(answer.unwrap().value), "free");
    }
    assert_eq!(stage.store.reads(), 1);
    assert_eq!(stage.body(&seat, &token).await, "free");
    assert_eq!(stage.store.reads(), 1, "the row was not cached");
}

/// A reader has an old row in hand while the projector refreshes the key.
async fn slow_reader(is_forgotten_again: bool) {
    let stage = Stage::start().await;
    let seat = seat(0, 0);
    stage.write(SEATS, key(&seat), 5, "free").await;
    stage.store.hold(true);
    let nothing = Token::default();
    let refreshing = async {
        diptych_runtime::pause(Duration::from_millis(100)).await;
        stage.project(&seat, 9, "taken").await;
        if is_forgotten_again {
            stage.cache.invalidate(SEATS, &[key(&seat)]).await.unwrap();
        }
        stage.store.hold(false);
    };
    let (slow, ()) = tokio::join!(stage.body(&seat, &nothing), refreshing);
    // The refused fill told the slow reader that what it had was old.
    assert_eq!(slow, "taken");
    for _ in 0..3 {
        assert_eq!(stage.body(&seat, &nothing).await, "taken");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_cannot_put_back_an_older_row() {
    slow_reader(false).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_cannot_put_back_an_older_row_where_the_newer_one_was_forgotten() {
    slow_reader(true).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_seen_from_the_read_database_is_not_contradicted_by_the_cache() {
    let stage = Stage::start().await;
    let seat = seat(0, 0);
    stage.project(&seat, 5, "free").await;
    // The refresh of the cache was lost.
    stage.write(SEATS, key(&seat), 9, "taken").await;
    stage.progress(SEATS, 0, 9).await;
    assert_eq!(stage.body(&seat, &token(&[(0, 9)])).await, "taken");
    assert_eq!(stage.body(&seat, &Token::default()).await, "taken");
}

#[tokio::test(start_paused = true)]
async fn a_lost_refresh_shows_for_a_bounded_time() {
    let stage = Stage::with(QueryConfig { cached_age_max: Duration::from_secs(30), ..QueryConfig::default() }).await;
    let seat = seat(0, 0);
    stage.project(&seat, 5, "free").await;
    stage.write(SEATS, key(&seat), 9, "taken").await;
    stage.progress(SEATS, 0, 35).await;
    stage.until_seen(0, 35).await;
    assert_eq!(stage.body(&seat, &Token::default()).await, "free");
    stage.progress(SEATS, 0, 36).await;
    stage.until_seen(0, 36).await;
    assert_eq!(stage.body(&seat, &Token::default()).await, "taken");
}

#[tokio::test(start_paused = true)]
async fn absence_is_cached_until_the_row_is_made() {
    let stage = Stage::start().await;
    let seat = seat(0, 0);
    let nothing = Token::default();
    assert_eq!(stage.body(&seat, &nothing).await, "");
    assert_eq!(stage.body(&seat, &nothing).await, "");
    assert_eq!(stage.store.reads(), 1);
    stage.refresh(&seat, row(3, 3, "free")).await;
    assert_eq!(stage.body(&seat, &nothing).await, "free");
}

#[tokio::test(start_paused = true)]
async fn what_another_process_is_reading_is_waited_for() {
    let stage = Stage::start().await;
    let seat = seat(0, 0);
    let read = stage.cache.read(SEATS, &[key(&seat)]).await.unwrap();
    let Some(CacheRead::Miss(lease)) = read.first().cloned() else { panic!("{read:?}") };
    let filling = async {
        diptych_runtime::pause(Duration::from_millis(3)).await;
        assert!(stage.cache.fill(SEATS, &key(&seat), lease, row(1, 1, "free")).await.unwrap());
    };
    let nothing = Token::default();
    let (body, ()) = tokio::join!(stage.body(&seat, &nothing), filling);
    assert_eq!(body, "free");
    assert_eq!(stage.store.reads(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_lease_whose_holder_is_gone_keeps_nobody_from_caching() {
    let stage = Stage::start().await;
    let seat = seat(0, 0);
    stage.write(SEATS, key(&seat), 1, "free").await;
    stage.cache.read(SEATS, &[key(&seat)]).await.unwrap();
    for _ in 0..4 {
        assert_eq!(stage.body(&seat, &Token::default()).await, "free");
    }
    // One read beside the dead lease, one with a lease of its own.
    assert_eq!(stage.store.reads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_row_read_before_the_token_was_reached_is_read_again() {
    let stage = Stage::start().await;
    let (quiet, busy) = (seat(0, 0), seat(0, 1));
    stage.write(SEATS, key(&quiet), 1, "free").await;
    stage.store.hold(true);
    let (nothing, nine) = (Token::default(), token(&[(0, 9)]));
    let late = async {
        diptych_runtime::pause(Duration::from_millis(10)).await;
        stage.write(SEATS, key(&quiet), 7, "taken").await;
        stage.project(&busy, 9, "taken").await;
        // Joins the read that was begun at progress 1.
        let reading = stage.body(&quiet, &nine);
        let releasing = async {
            diptych_runtime::pause(Duration::from_millis(10)).await;
            stage.store.hold(false);
        };
        tokio::join!(reading, releasing).0
    };
    let (_, late) = tokio::join!(stage.body(&quiet, &nothing), late);
    assert_eq!(late, "taken");
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_progress_fills_what_it_then_reads() {
    let stage = Stage::start().await;
    let seat = seat(0, 0);
    stage.write(SEATS, key(&seat), 5, "free").await;
    let nine = token(&[(0, 9)]);
    let began = tokio::time::Instant::now();
    let (body, ()) = tokio::join!(stage.body(&seat, &nine), stage.progress(SEATS, 0, 9));
    assert_eq!(body, "free");
    // It did not wait for itself to fill the key.
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(stage.body(&seat, &nine).await, "free");
    assert_eq!(stage.store.reads(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_gives_the_lease_back() {
    let stage = Stage::start().await;
    let seat = seat(0, 0);
    assert!(stage.get(&seat, &token(&[(0, 9)])).await.is_err());
    stage.store.set_down(true);
    assert!(stage.get(&seat, &Token::default()).await.is_err());
    let read = stage.cache.read(SEATS, &[key(&seat)]).await.unwrap();
    assert!(matches!(read.as_slice(), [CacheRead::Miss(_)]), "{read:?}");
}
