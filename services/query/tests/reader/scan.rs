//! Lists are as fresh as the progress of their view, in every partition that they are made of.

use std::time::Duration;

use diptych_kernel::{Partition, Token, domain::RowKey};
use diptych_query::{Answer, Page, QueryError};
use tokio::time::Instant;

use crate::stage::{SEATS, Stage, after, position, seat, text, time, token};

async fn scan(stage: &Stage, partition: Option<u16>, token: &Token) -> Result<Answer<Page>, QueryError> {
    let partition = partition.map(Partition::new);
    stage.reader.scan(SEATS, partition, None, "row-a", None, 2, token, after(300)).await
}

fn bodies(answer: Answer<Page>) -> Vec<String> {
    answer.value.rows.into_iter().map(|(_, body)| text(Some(body))).collect()
}

#[tokio::test(start_paused = true)]
async fn a_list_waits_for_the_progress_of_its_partition() {
    let stage = Stage::start().await;
    let nine = token(&[(0, 9), (1, 99)]);
    let writing = async {
        diptych_runtime::pause(Duration::from_millis(100)).await;
        stage.write(SEATS, RowKey::new("row-a", "1"), 9, "free").await;
        stage.progress(SEATS, 0, 9).await;
    };
    let (answer, ()) = tokio::join!(scan(&stage, Some(0), &nine), writing);
    let answer = answer.unwrap();
    assert_eq!(answer.read_at.token, token(&[(0, 9)]));
    assert_eq!(answer.read_at.complete_up_to, Some(time(9)));
    assert_eq!(bodies(answer), ["free"]);
}

#[tokio::test(start_paused = true)]
async fn a_list_over_all_partitions_waits_for_each_that_the_token_names() {
    let stage = Stage::start().await;
    stage.progress(SEATS, 0, 9).await;
    stage.until_seen(0, 9).await;
    let began = Instant::now();
    let behind =
        QueryError::Behind { view: SEATS, partition: Partition::new(2), required: position(8), reached: position(1) };
    assert_eq!(scan(&stage, None, &token(&[(0, 9), (2, 8)])).await, Err(behind));
    assert_eq!(began.elapsed(), Duration::from_millis(300));
    stage.progress(SEATS, 2, 8).await;
    let answer = scan(&stage, None, &token(&[(0, 9), (2, 8)])).await.unwrap();
    assert_eq!(answer.read_at.token, token(&[(0, 9), (1, 1), (2, 8), (3, 1)]));
    assert_eq!(answer.read_at.complete_up_to, Some(time(1)));
}

#[tokio::test(start_paused = true)]
async fn a_list_claims_what_was_known_before_it_was_read() {
    let stage = Stage::start().await;
    stage.store.hold(true);
    let going_on = async {
        diptych_runtime::pause(Duration::from_millis(10)).await;
        stage.progress(SEATS, 0, 9).await;
        stage.until_loaded().await;
        stage.store.hold(false);
    };
    let nothing = Token::default();
    let (answer, ()) = tokio::join!(scan(&stage, Some(0), &nothing), going_on);
    assert_eq!(answer.unwrap().read_at.token, token(&[(0, 1)]));
}

#[tokio::test(start_paused = true)]
async fn who_saw_a_row_in_a_list_finds_it_again() {
    let stage = Stage::start().await;
    // Written, and progress not yet.
    stage.write(SEATS, RowKey::new("row-a", "1"), 9, "free").await;
    let answer = scan(&stage, Some(0), &Token::default()).await.unwrap();
    assert_eq!(answer.read_at.token, token(&[(0, 9)]));
    assert_eq!(answer.read_at.complete_up_to, Some(time(1)));
}

#[tokio::test(start_paused = true)]
async fn pages_follow_each_other() {
    let stage = Stage::start().await;
    for (number, sort_key) in ["1", "2", "3"].into_iter().enumerate() {
        stage.write(SEATS, RowKey::new("row-a", sort_key), 1, &format!("seat {number}")).await;
    }
    let (stream, nothing) = (seat(0, 0), Token::default());
    let page = async |after_key: Option<&[u8]>| {
        let page = stage.reader.scan(SEATS, None, Some(&stream), "row-a", after_key, 2, &nothing, after(100)).await;
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
    let stage = Stage::start().await;
    stage.store.set_down(true);
    assert_eq!(scan(&stage, None, &Token::default()).await, Err(QueryError::Unavailable));
}
