//! Many rows at once: one question to the cache, one to the read database.

use std::time::Duration;

use diptych_kernel::{Partition, Token, domain::RowKey};
use diptych_query::QueryError;
use tokio::time::Instant;

use crate::stage::{SEATS, Stage, TOTALS, after, key, position, seat, text, time, token};

#[tokio::test(start_paused = true)]
async fn rows_come_in_order_from_cache_and_read_database() {
    let stage = Stage::start().await;
    let (cached, stored, absent) = (seat(0, 0), seat(1, 0), seat(0, 2));
    stage.project(&cached, 5, "cached").await;
    stage.write(SEATS, key(&stored), 4, "stored").await;
    stage.progress(SEATS, 1, 7).await;
    stage.until_seen(0, 5).await;
    stage.until_seen(1, 7).await;
    let asked = [absent, stored, cached].map(|seat| (seat.clone(), key(&seat)));
    for reads in [1, 1] {
        let answer = stage.reader.get_many(SEATS, &asked, &token(&[(1, 7)]), after(100)).await.unwrap();
        assert_eq!(answer.value.into_iter().map(text).collect::<Vec<_>>(), ["", "stored", "cached"]);
        assert_eq!(answer.read_at.token, token(&[(0, 5), (1, 7)]));
        assert_eq!(answer.read_at.complete_up_to, Some(time(5)));
        assert_eq!(stage.store.reads(), reads);
    }
    let nothing = stage.reader.get_many(SEATS, &[], &Token::default(), after(100)).await.unwrap();
    assert!(nothing.value.is_empty());
}

#[tokio::test(start_paused = true)]
async fn every_row_meets_the_token_of_its_own_partition() {
    let stage = Stage::start().await;
    let (one, other) = (seat(0, 0), seat(1, 0));
    stage.project(&one, 5, "free").await;
    let asked = [one, other].map(|seat| (seat.clone(), key(&seat)));
    let behind =
        QueryError::Behind { view: SEATS, partition: Partition::new(1), required: position(3), reached: position(1) };
    let both = token(&[(0, 5), (1, 3)]);
    assert_eq!(stage.reader.get_many(SEATS, &asked, &both, after(100)).await, Err(behind));
    stage.progress(SEATS, 1, 3).await;
    let answer = stage.reader.get_many(SEATS, &asked, &both, after(100)).await.unwrap();
    assert_eq!(answer.value.into_iter().map(text).collect::<Vec<_>>(), ["free", ""]);
}

#[tokio::test(start_paused = true)]
async fn a_row_asked_for_twice_does_not_wait_for_itself() {
    let stage = Stage::start().await;
    let seat = seat(0, 0);
    stage.write(SEATS, key(&seat), 1, "free").await;
    let began = Instant::now();
    for _ in 0..2 {
        let asked = [(seat.clone(), key(&seat)), (seat.clone(), key(&seat))];
        let answer = stage.reader.get_many(SEATS, &asked, &Token::default(), after(100)).await.unwrap();
        assert_eq!(answer.value.into_iter().map(text).collect::<Vec<_>>(), ["free", "free"]);
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(stage.store.reads(), 1);
}

#[tokio::test(start_paused = true)]
async fn partial_rows_are_as_of_the_progress_of_their_own_view() {
    let stage = Stage::start().await;
    let partials: Vec<_> =
        (0..4).map(|number| (Partition::new(number), RowKey::single(&format!("sum-{number}")))).collect();
    stage.write(TOTALS, RowKey::single("sum-2"), 6, "3").await;
    // The other view is there; this one is not.
    stage.progress(SEATS, 2, 6).await;
    let six = token(&[(2, 6)]);
    let behind =
        QueryError::Behind { view: TOTALS, partition: Partition::new(2), required: position(6), reached: position(1) };
    assert_eq!(stage.reader.get_partials(TOTALS, &partials, &six, after(100)).await, Err(behind));
    stage.progress(TOTALS, 2, 6).await;
    for _ in 0..2 {
        let answer = stage.reader.get_partials(TOTALS, &partials, &six, after(100)).await.unwrap();
        assert_eq!(answer.value.into_iter().map(text).collect::<Vec<_>>(), ["", "", "3", ""]);
        assert_eq!(answer.read_at.token, token(&[(0, 1), (1, 1), (2, 6), (3, 1)]));
        assert_eq!(answer.read_at.complete_up_to, Some(time(1)));
    }
    assert_eq!(stage.store.reads(), 1);
}
