//! Calls for many rows: one cache request and one read of the read database.

use std::time::Duration;

use diptych_kernel::{Partition, Token, domain::RowKey};
use diptych_query::QueryError;
use tokio::time::Instant;

use crate::harness::{QueryHarness, SEATS, TOTALS, after, key, position, seat, text, time, token};

#[tokio::test(start_paused = true)]
async fn rows_come_in_order_from_cache_and_read_database() {
    let harness = QueryHarness::start().await;
    let (cached, stored, absent) = (seat(0, 0), seat(1, 0), seat(0, 2));
    harness.project(&cached, 5, "cached").await;
    harness.write(SEATS, key(&stored), 4, "stored").await;
    harness.progress(SEATS, 1, 7).await;
    harness.until_seen(0, 5).await;
    harness.until_seen(1, 7).await;
    let requested = [absent, stored, cached].map(|seat| (seat.clone(), key(&seat)));
    for reads in [1, 1] {
        let answer = harness.reader.get_many(SEATS, &requested, &token(&[(1, 7)]), after(100)).await.unwrap();
        assert_eq!(answer.value.into_iter().map(text).collect::<Vec<_>>(), ["", "stored", "cached"]);
        assert_eq!(answer.read_at.token, token(&[(0, 5), (1, 7)]));
        assert_eq!(answer.read_at.complete_up_to, Some(time(5)));
        assert_eq!(harness.store.reads(), reads);
    }
    let nothing = harness.reader.get_many(SEATS, &[], &Token::default(), after(100)).await.unwrap();
    assert!(nothing.value.is_empty());
}

#[tokio::test(start_paused = true)]
async fn every_row_meets_the_token_of_its_own_partition() {
    let harness = QueryHarness::start().await;
    let (one, other) = (seat(0, 0), seat(1, 0));
    harness.project(&one, 5, "free").await;
    let requested = [one, other].map(|seat| (seat.clone(), key(&seat)));
    let behind =
        QueryError::Behind { view: SEATS, partition: Partition::new(1), required: position(3), reached: position(1) };
    let both = token(&[(0, 5), (1, 3)]);
    assert_eq!(harness.reader.get_many(SEATS, &requested, &both, after(100)).await, Err(behind));
    harness.progress(SEATS, 1, 3).await;
    let answer = harness.reader.get_many(SEATS, &requested, &both, after(100)).await.unwrap();
    assert_eq!(answer.value.into_iter().map(text).collect::<Vec<_>>(), ["free", ""]);
}

#[tokio::test(start_paused = true)]
async fn a_row_requested_twice_does_not_wait_for_its_own_fill() {
    let harness = QueryHarness::start().await;
    let seat = seat(0, 0);
    harness.write(SEATS, key(&seat), 1, "free").await;
    let began_at = Instant::now();
    for _ in 0..2 {
        let requested = [(seat.clone(), key(&seat)), (seat.clone(), key(&seat))];
        let answer = harness.reader.get_many(SEATS, &requested, &Token::default(), after(100)).await.unwrap();
        assert_eq!(answer.value.into_iter().map(text).collect::<Vec<_>>(), ["free", "free"]);
    }
    assert_eq!(began_at.elapsed(), Duration::ZERO);
    assert_eq!(harness.store.reads(), 1);
}

#[tokio::test(start_paused = true)]
async fn partial_rows_are_as_fresh_as_the_progress_of_their_own_view() {
    let harness = QueryHarness::start().await;
    let partials: Vec<_> =
        (0..4).map(|number| (Partition::new(number), RowKey::single(&format!("sum-{number}")))).collect();
    harness.write(TOTALS, RowKey::single("sum-2"), 6, "3").await;
    // The other view has reached the position; this one has not.
    harness.progress(SEATS, 2, 6).await;
    let six = token(&[(2, 6)]);
    let behind =
        QueryError::Behind { view: TOTALS, partition: Partition::new(2), required: position(6), reached: position(1) };
    assert_eq!(harness.reader.get_partials(TOTALS, &partials, &six, after(100)).await, Err(behind));
    harness.progress(TOTALS, 2, 6).await;
    for _ in 0..2 {
        let answer = harness.reader.get_partials(TOTALS, &partials, &six, after(100)).await.unwrap();
        assert_eq!(answer.value.into_iter().map(text).collect::<Vec<_>>(), ["", "", "3", ""]);
        assert_eq!(answer.read_at.token, token(&[(0, 1), (1, 1), (2, 6), (3, 1)]));
        assert_eq!(answer.read_at.complete_up_to, Some(time(1)));
    }
    assert_eq!(harness.store.reads(), 1);
}
