//! Answers that may not be older than a time.

use diptych_kernel::{Partition, Token};
use diptych_query::QueryError;

use crate::harness::{QueryHarness, SEATS, TOTALS, after, partitions, seat, time, token};

#[tokio::test(start_paused = true)]
async fn a_call_waits_until_the_views_are_young_enough() {
    let harness = QueryHarness::start().await;
    let seat = seat(2, 0);
    harness.project(&seat, 5, "ada").await;
    harness.until_seen(2, 5).await;
    let wanted = harness.reader.token_complete_up_to(time(7), [Partition::new(2)], Token::default(), after(1_000));
    let (raised, ()) = tokio::join!(wanted, async {
        // Nothing has happened, and the views are complete up to a later time.
        harness.progress(TOTALS, 2, 8).await;
    });
    let raised = raised.unwrap();
    assert_eq!(raised, token(&[(2, 8)]));
    // The other view is not: what is read with the token waits for it.
    let (body, ()) = tokio::join!(harness.body(&seat, &raised), harness.project(&seat, 8, "bob"));
    assert_eq!(body, "bob");
}

#[tokio::test(start_paused = true)]
async fn views_that_stay_too_old_are_refused_at_the_deadline() {
    let harness = QueryHarness::start().await;
    let refused = harness.reader.token_complete_up_to(time(7), partitions().iter(), Token::default(), after(100)).await;
    let partition = Partition::new(0);
    assert_eq!(refused, Err(QueryError::TooOld { partition, required: time(7), reached: Some(time(1)) }));
}

#[tokio::test(start_paused = true)]
async fn the_token_of_the_caller_is_kept() {
    let harness = QueryHarness::start().await;
    harness.progress(SEATS, 1, 4).await;
    harness.until_seen(1, 4).await;
    let raise =
        async |token| harness.reader.token_complete_up_to(time(1), [Partition::new(1)], token, after(100)).await;
    assert_eq!(raise(token(&[(0, 3), (1, 9)])).await, Ok(token(&[(0, 3), (1, 9)])));
    assert_eq!(raise(token(&[(0, 3)])).await, Ok(token(&[(0, 3), (1, 1)])), "the smallest position that will do");
}
