//! Lists are as fresh as the progress of their view in every partition that they are made of.

use std::time::Duration;

use diptych_kernel::{Partition, Token, domain::RowKey};
use diptych_query::{Answer, Page, QueryError};
use tokio::time::Instant;

use crate::harness::{QueryHarness, SEATS, after, position, seat, text, time, token};

async fn scan(harness: &QueryHarness, partition: Option<u16>, token: &Token) -> Result<Answer<Page>, QueryError> {
    let partition = partition.map(Partition::new);
    harness.reader.scan(SEATS, partition, None, "row-a", None, 2, token, after(300)).await
}

fn bodies(answer: Answer<Page>) -> Vec<String> {
    answer.value.rows.into_iter().map(|(_, body)| text(Some(body))).collect()
}

#[tokio::test(start_paused = true)]
async fn a_list_waits_for_the_progress_of_its_partition() {
    let harness = QueryHarness::start().await;
    let nine = token(&[(0, 9), (1, 99)]);
    let writing = async {
        diptych_runtime::pause(Duration::from_millis(100)).await;
        harness.write(SEATS, RowKey::new("row-a", "1"), 9, "free").await;
        harness.progress(SEATS, 0, 9).await;
    };
    let (answer, ()) = tokio::join!(scan(&harness, Some(0), &nine), writing);
    let answer = answer.unwrap();
    assert_eq!(answer.read_at.token, token(&[(0, 9)]));
    assert_eq!(answer.read_at.complete_up_to, Some(time(9)));
    assert_eq!(bodies(answer), ["free"]);
}

#[tokio::test(start_paused = true)]
async fn a_list_over_all_partitions_waits_for_each_that_the_token_names() {
    let harness = QueryHarness::start().await;
    harness.progress(SEATS, 0, 9).await;
    harness.until_seen(0, 9).await;
    let began_at = Instant::now();
    let behind =
        QueryError::Behind { view: SEATS, partition: Partition::new(2), required: position(8), reached: position(1) };
    assert_eq!(scan(&harness, None, &token(&[(0, 9), (2, 8)])).await, Err(behind));
    assert_eq!(began_at.elapsed(), Duration::from_millis(300));
    harness.progress(SEATS, 2, 8).await;
    let answer = scan(&harness, None, &token(&[(0, 9), (2, 8)])).await.unwrap();
    assert_eq!(answer.read_at.token, token(&[(0, 9), (1, 1), (2, 8), (3, 1)]));
    assert_eq!(answer.read_at.complete_up_to, Some(time(1)));
}

#[tokio::test(start_paused = true)]
async fn the_token_of_a_list_is_the_progress_known_before_the_read() {
    let harness = QueryHarness::start().await;
    harness.store.hold(true);
    let advancing = async {
        diptych_runtime::pause(Duration::from_millis(10)).await;
        harness.progress(SEATS, 0, 9).await;
        harness.until_loaded().await;
        harness.store.hold(false);
    };
    let nothing = Token::default();
    let (answer, ()) = tokio::join!(scan(&harness, Some(0), &nothing), advancing);
    assert_eq!(answer.unwrap().read_at.token, token(&[(0, 1)]));
}

#[tokio::test(start_paused = true)]
async fn a_row_seen_in_a_list_is_covered_by_the_returned_token() {
    let harness = QueryHarness::start().await;
    // The row is written, progress is not saved yet.
    harness.write(SEATS, RowKey::new("row-a", "1"), 9, "free").await;
    let answer = scan(&harness, Some(0), &Token::default()).await.unwrap();
    assert_eq!(answer.read_at.token, token(&[(0, 9)]));
    assert_eq!(answer.read_at.complete_up_to, Some(time(1)));
}

#[tokio::test(start_paused = true)]
async fn pages_are_contiguous() {
    let harness = QueryHarness::start().await;
    for (number, sort_key) in ["1", "2", "3"].into_iter().enumerate() {
        harness.write(SEATS, RowKey::new("row-a", sort_key), 1, &format!("seat {number}")).await;
    }
    let (stream, nothing) = (seat(0, 0), Token::default());
    let page = async |after_key: Option<&[u8]>| {
        let page = harness.reader.scan(SEATS, None, Some(&stream), "row-a", after_key, 2, &nothing, after(100)).await;
        page.unwrap().value
    };
    let first = page(None).await;
    assert!(first.more);
    assert_eq!(first.rows.len(), 2);
    let second = page(first.rows.last().map(|(sort_key, _)| &sort_key[..])).await;
    assert!(!second.more);
    assert_eq!(second.rows.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_list_without_the_read_database_is_unavailable() {
    let harness = QueryHarness::start().await;
    harness.store.set_down(true);
    assert_eq!(scan(&harness, None, &Token::default()).await, Err(QueryError::Unavailable));
}
