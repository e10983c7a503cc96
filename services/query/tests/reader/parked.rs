//! Progress passes parked streams, so their rows must not count as fresh.

use std::time::Duration;

use diptych_kernel::{Partition, StreamId, Token, domain::RowKey};
use diptych_query::QueryError;

use crate::harness::{QueryHarness, SEATS, TOTALS, after, key, row, seat, text, token};

fn parked(stream: &StreamId) -> QueryError {
    QueryError::Parked { stream_id: stream.clone() }
}

#[tokio::test(start_paused = true)]
async fn the_rows_of_a_parked_stream_are_refused_and_those_of_others_are_not() {
    let harness = QueryHarness::start().await;
    let (stuck, other) = (seat(0, 0), seat(0, 1));
    harness.project(&stuck, 5, "free").await;
    harness.project(&other, 6, "free").await;
    harness.park(SEATS, &stuck, 9).await;
    harness.until_seen(0, 9).await;
    for token in [token(&[]), token(&[(0, 5)]), token(&[(0, 9)]), token(&[(0, 99)])] {
        assert_eq!(harness.get(&stuck, &token).await, Err(parked(&stuck)));
    }
    let both = [(other.clone(), key(&other)), (stuck.clone(), key(&stuck))];
    let answer = harness.reader.get_many(SEATS, &both, &Token::default(), after(100)).await;
    assert_eq!(answer, Err(parked(&stuck)));
    assert_eq!(harness.body(&other, &token(&[(0, 9)])).await, "free");
    // The stream is no longer parked.
    harness.project(&stuck, 10, "taken").await;
    harness.until_loaded().await;
    assert_eq!(harness.body(&stuck, &Token::default()).await, "taken");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_a_stream_fails_when_the_stream_is_parked() {
    let harness = QueryHarness::start().await;
    let stuck = seat(0, 0);
    let nine = token(&[(0, 9)]);
    let (answer, ()) = tokio::join!(harness.get(&stuck, &nine), harness.park(SEATS, &stuck, 9));
    assert_eq!(answer, Err(parked(&stuck)));
}

#[tokio::test(start_paused = true)]
async fn a_stream_parked_while_its_row_is_read_is_refused_and_not_cached() {
    let harness = QueryHarness::start().await;
    let stuck = seat(0, 0);
    harness.write(SEATS, key(&stuck), 1, "free").await;
    harness.store.hold(true);
    let nothing = Token::default();
    let parking = async {
        diptych_runtime::pause(Duration::from_millis(10)).await;
        harness.park(SEATS, &stuck, 9).await;
        diptych_runtime::pause(Duration::from_millis(10)).await;
        harness.store.hold(false);
    };
    let (answer, ()) = tokio::join!(harness.get(&stuck, &nothing), parking);
    assert_eq!(answer, Err(parked(&stuck)));
}

#[tokio::test(start_paused = true)]
async fn a_stream_parked_during_the_cache_lookup_is_refused() {
    let harness = QueryHarness::start().await;
    let stuck = seat(0, 0);
    harness.project(&stuck, 5, "free").await;
    harness.cache.hold(true);
    let nothing = Token::default();
    let parking = async {
        diptych_runtime::pause(Duration::from_millis(10)).await;
        harness.park(SEATS, &stuck, 9).await;
        harness.until_loaded().await;
        harness.cache.hold(false);
    };
    let (answer, ()) = tokio::join!(harness.get(&stuck, &nothing), parking);
    assert_eq!(answer, Err(parked(&stuck)));
}

#[tokio::test(start_paused = true)]
async fn a_sum_read_while_a_stream_was_parked_is_not_cached() {
    let harness = QueryHarness::start().await;
    let partial = [(Partition::new(0), RowKey::single("sum-0"))];
    let get = async |token: Token| {
        let answer = harness.reader.get_partials(TOTALS, &partial, &token, after(100)).await.unwrap();
        answer.value.into_iter().map(text).collect::<String>()
    };
    // The event at 8 could not be projected, that at 9 could.
    harness.write(TOTALS, RowKey::single("sum-0"), 9, "without").await;
    harness.park(TOTALS, &seat(0, 0), 9).await;
    harness.until_loaded().await;
    assert_eq!(get(token(&[])).await, "without");
    harness.write(TOTALS, RowKey::single("sum-0"), 12, "with").await;
    harness.progress(TOTALS, 0, 12).await;
    harness.until_loaded().await;
    assert_eq!(get(token(&[(0, 8)])).await, "with");
}

#[tokio::test(start_paused = true)]
async fn a_sum_over_a_parked_stream_satisfies_no_token_and_has_no_read_at() {
    let harness = QueryHarness::start().await;
    let partial = [(Partition::new(0), RowKey::single("sum-0")), (Partition::new(1), RowKey::single("sum-1"))];
    harness.write(TOTALS, RowKey::single("sum-0"), 5, "2").await;
    harness.park(TOTALS, &seat(0, 0), 9).await;
    harness.progress(TOTALS, 1, 4).await;
    let get = async |token: Token| harness.reader.get_partials(TOTALS, &partial, &token, after(100)).await;
    assert_eq!(get(token(&[(0, 3)])).await, Err(parked(&seat(0, 0))));
    assert_eq!(get(token(&[(0, 9)])).await, Err(parked(&seat(0, 0))));
    for _ in 0..2 {
        let answer = get(token(&[(1, 4)])).await.unwrap();
        assert_eq!(answer.value.into_iter().map(text).collect::<Vec<_>>(), ["2", ""]);
        assert_eq!(answer.read_at.token, token(&[(1, 4)]));
        assert_eq!(answer.read_at.complete_up_to, None);
    }
}

/// The partial row advances without the parked stream; the progress that lists the parked stream is saved later.
#[tokio::test(start_paused = true)]
async fn the_freshness_of_a_sum_follows_progress_and_not_its_position() {
    let harness = QueryHarness::start().await;
    let partial = [(Partition::new(0), RowKey::single("sum-0"))];
    harness.cache_total(row(9, 9, "2")).await;
    let nine = token(&[(0, 9)]);
    let getting = harness.reader.get_partials(TOTALS, &partial, &nine, after(1_000));
    let parking = async {
        diptych_runtime::pause(Duration::from_millis(10)).await;
        harness.park(TOTALS, &seat(0, 0), 9).await;
    };
    let (answer, ()) = tokio::join!(getting, parking);
    assert_eq!(answer, Err(parked(&seat(0, 0))));
}

#[tokio::test(start_paused = true)]
async fn a_list_over_a_parked_stream_satisfies_no_token_and_has_no_read_at() {
    let harness = QueryHarness::start().await;
    harness.write(SEATS, RowKey::new("row-a", "1"), 5, "free").await;
    harness.park(SEATS, &seat(0, 0), 9).await;
    harness.until_seen(0, 9).await;
    let scan = async |partition, stream: Option<&StreamId>, token: Token| {
        harness.reader.scan(SEATS, partition, stream, "row-a", None, 10, &token, after(100)).await
    };
    let zero = Some(Partition::new(0));
    assert_eq!(scan(None, None, token(&[(0, 2)])).await, Err(parked(&seat(0, 0))));
    assert_eq!(scan(zero, None, token(&[(0, 2)])).await, Err(parked(&seat(0, 0))));
    assert_eq!(scan(zero, Some(&seat(0, 0)), token(&[])).await, Err(parked(&seat(0, 0))));
    let all = scan(None, None, token(&[(1, 1)])).await.unwrap();
    assert_eq!(all.value.rows.len(), 1);
    assert_eq!(all.read_at.token, token(&[(1, 1), (2, 1), (3, 1)]));
    assert_eq!(all.read_at.complete_up_to, None);
    let of_another = scan(None, Some(&seat(0, 1)), token(&[(0, 9)])).await.unwrap();
    assert_eq!(of_another.read_at.token, token(&[(0, 9)]));
}
