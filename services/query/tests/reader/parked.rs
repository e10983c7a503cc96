//! Progress passes parked streams by, so their rows must not be taken for fresh.

use std::time::Duration;

use diptych_kernel::{Partition, StreamId, Token, domain::RowKey};
use diptych_query::QueryError;

use crate::stage::{SEATS, Stage, TOTALS, after, key, row, seat, text, token};

fn parked(stream: &StreamId) -> QueryError {
    QueryError::Parked { stream_id: stream.clone() }
}

#[tokio::test(start_paused = true)]
async fn the_rows_of_a_parked_stream_are_refused_and_those_of_others_are_not() {
    let stage = Stage::start().await;
    let (stuck, other) = (seat(0, 0), seat(0, 1));
    stage.project(&stuck, 5, "free").await;
    stage.project(&other, 6, "free").await;
    stage.park(SEATS, &stuck, 9).await;
    stage.until_seen(0, 9).await;
    for asked in [token(&[]), token(&[(0, 5)]), token(&[(0, 9)]), token(&[(0, 99)])] {
        assert_eq!(stage.get(&stuck, &asked).await, Err(parked(&stuck)));
    }
    let both = [(other.clone(), key(&other)), (stuck.clone(), key(&stuck))];
    let answer = stage.reader.get_many(SEATS, &both, &Token::default(), after(100)).await;
    assert_eq!(answer, Err(parked(&stuck)));
    assert_eq!(stage.body(&other, &token(&[(0, 9)])).await, "free");
    // Let go again.
    stage.project(&stuck, 10, "taken").await;
    stage.until_loaded().await;
    assert_eq!(stage.body(&stuck, &Token::default()).await, "taken");
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_stream_hears_that_it_was_parked() {
    let stage = Stage::start().await;
    let stuck = seat(0, 0);
    let nine = token(&[(0, 9)]);
    let (answer, ()) = tokio::join!(stage.get(&stuck, &nine), stage.park(SEATS, &stuck, 9));
    assert_eq!(answer, Err(parked(&stuck)));
}

#[tokio::test(start_paused = true)]
async fn a_stream_parked_while_its_row_is_read_is_refused_and_not_cached() {
    let stage = Stage::start().await;
    let stuck = seat(0, 0);
    stage.write(SEATS, key(&stuck), 1, "free").await;
    stage.store.hold(true);
    let nothing = Token::default();
    let parking = async {
        diptych_runtime::pause(Duration::from_millis(10)).await;
        stage.park(SEATS, &stuck, 9).await;
        diptych_runtime::pause(Duration::from_millis(10)).await;
        stage.store.hold(false);
    };
    let (answer, ()) = tokio::join!(stage.get(&stuck, &nothing), parking);
    assert_eq!(answer, Err(parked(&stuck)));
}

#[tokio::test(start_paused = true)]
async fn a_stream_parked_while_the_cache_is_asked_is_refused() {
    let stage = Stage::start().await;
    let stuck = seat(0, 0);
    stage.project(&stuck, 5, "free").await;
    stage.cache.hold(true);
    let nothing = Token::default();
    let parking = async {
        diptych_runtime::pause(Duration::from_millis(10)).await;
        stage.park(SEATS, &stuck, 9).await;
        stage.until_loaded().await;
        stage.cache.hold(false);
    };
    let (answer, ()) = tokio::join!(stage.get(&stuck, &nothing), parking);
    assert_eq!(answer, Err(parked(&stuck)));
}

#[tokio::test(start_paused = true)]
async fn a_sum_read_while_a_stream_was_parked_is_not_kept() {
    let stage = Stage::start().await;
    let partial = [(Partition::new(0), RowKey::single("sum-0"))];
    let ask = async |token: Token| {
        let answer = stage.reader.get_partials(TOTALS, &partial, &token, after(100)).await.unwrap();
        answer.value.into_iter().map(text).collect::<String>()
    };
    // The event at 8 could not be projected, that at 9 could.
    stage.write(TOTALS, RowKey::single("sum-0"), 9, "without").await;
    stage.park(TOTALS, &seat(0, 0), 9).await;
    stage.until_loaded().await;
    assert_eq!(ask(token(&[])).await, "without");
    stage.write(TOTALS, RowKey::single("sum-0"), 12, "with").await;
    stage.progress(TOTALS, 0, 12).await;
    stage.until_loaded().await;
    assert_eq!(ask(token(&[(0, 8)])).await, "with");
}

#[tokio::test(start_paused = true)]
async fn a_sum_over_a_parked_stream_meets_no_token_and_claims_nothing() {
    let stage = Stage::start().await;
    let partial = [(Partition::new(0), RowKey::single("sum-0")), (Partition::new(1), RowKey::single("sum-1"))];
    stage.write(TOTALS, RowKey::single("sum-0"), 5, "2").await;
    stage.park(TOTALS, &seat(0, 0), 9).await;
    stage.progress(TOTALS, 1, 4).await;
    let ask = async |token: Token| stage.reader.get_partials(TOTALS, &partial, &token, after(100)).await;
    assert_eq!(ask(token(&[(0, 3)])).await, Err(parked(&seat(0, 0))));
    assert_eq!(ask(token(&[(0, 9)])).await, Err(parked(&seat(0, 0))));
    for _ in 0..2 {
        let answer = ask(token(&[(1, 4)])).await.unwrap();
        assert_eq!(answer.value.into_iter().map(text).collect::<Vec<_>>(), ["2", ""]);
        assert_eq!(answer.read_at.token, token(&[(1, 4)]));
        assert_eq!(answer.read_at.complete_up_to, None);
    }
}

/// The partial row goes on without the parked stream, and progress that says so comes later.
#[tokio::test(start_paused = true)]
async fn a_sum_is_judged_by_progress_and_not_by_its_position() {
    let stage = Stage::start().await;
    let partial = [(Partition::new(0), RowKey::single("sum-0"))];
    stage.cache_total(row(9, 9, "2")).await;
    let nine = token(&[(0, 9)]);
    let asking = stage.reader.get_partials(TOTALS, &partial, &nine, after(1_000));
    let parking = async {
        diptych_runtime::pause(Duration::from_millis(10)).await;
        stage.park(TOTALS, &seat(0, 0), 9).await;
    };
    let (answer, ()) = tokio::join!(asking, parking);
    assert_eq!(answer, Err(parked(&seat(0, 0))));
}

#[tokio::test(start_paused = true)]
async fn a_list_with_a_parked_stream_meets_no_token_and_claims_nothing() {
    let stage = Stage::start().await;
    stage.write(SEATS, RowKey::new("row-a", "1"), 5, "free").await;
    stage.park(SEATS, &seat(0, 0), 9).await;
    stage.until_seen(0, 9).await;
    let scan = async |partition, stream: Option<&StreamId>, token: Token| {
        stage.reader.scan(SEATS, partition, stream, "row-a", None, 10, &token, after(100)).await
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
