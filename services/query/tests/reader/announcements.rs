//! Progress announced through the cache: waiting calls see it before it is saved.

use std::time::Duration;

use diptych_kernel::{
    Partition,
    domain::view_set_name,
    ports::{Progress, ProgressUpdate, ViewCache},
};
use diptych_query::{QueryConfig, QueryError};
use diptych_runtime::{PROGRESS_ANNOUNCEMENTS, encode_progress_announcement, pause, progress_announcement_key};
use tokio::time::Instant;

use crate::harness::{QueryHarness, SEATS, TOTALS, key, position, row, seat, time, token};

/// Longer than any test waits, so that progress is seen only if it was announced.
const NEVER: Duration = Duration::from_secs(3_600);

/// Starts with a read database that signals no saves and is polled only once.
async fn with_announcements_only() -> QueryHarness {
    let harness = QueryHarness::with(QueryConfig {
        progress_poll_interval: NEVER,
        progress_poll_interval_while_waiting: NEVER - Duration::from_secs(1),
        ..QueryConfig::default()
    });
    let harness = harness.await;
    harness.store.disable_signals();
    // Ends the wait that began while saves were still signalled.
    harness.progress(SEATS, 3, 2).await;
    harness.until_seen(3, 2).await;
    harness
}

impl QueryHarness {
    /// Performs what a projector does after an event of a seat, before it saves progress.
    async fn project_and_announce(&self, number: usize, at: i64, body: &str) {
        let seat = seat(0, number);
        self.write(SEATS, key(&seat), at, body).await;
        self.refresh(&seat, row(at, at, body)).await;
        self.announce(at).await;
    }

    async fn announce(&self, at: i64) {
        let progress = Progress { position: position(at), as_of: time(at), ..Progress::default() };
        let partition = Partition::new(0);
        let announcement = encode_progress_announcement(&[ProgressUpdate { view: SEATS, partition, progress }]);
        self.cache
            .refresh(
                PROGRESS_ANNOUNCEMENTS,
                &[(progress_announcement_key(partition, &view_set_name(&[SEATS, TOTALS])), announcement)],
            )
            .await
            .unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiting_call_sees_an_announcement_within_the_poll_interval() {
    let harness = with_announcements_only().await;
    let announcing = async {
        pause(Duration::from_millis(333)).await;
        harness.project_and_announce(0, 9, "taken").await;
        Instant::now()
    };
    let reading = async {
        let body = harness.body(&seat(0, 0), &token(&[(0, 9)])).await;
        (body, Instant::now())
    };
    let ((body, seen_at), announced_at) = tokio::join!(reading, announcing);
    assert_eq!(body, "taken");
    // The poll interval plus two timer ticks of a millisecond.
    let bound = QueryConfig::default().announcement_poll_interval + Duration::from_millis(2);
    assert!(seen_at - announced_at <= bound, "{:?}", seen_at - announced_at);
}

#[tokio::test(start_paused = true)]
async fn an_announcement_makes_uncached_rows_of_the_partition_readable() {
    let harness = with_announcements_only().await;
    // The event is of another seat of the partition, so this seat is current up to it without a change.
    harness.write(SEATS, key(&seat(0, 1)), 1, "free").await;
    let (seat, nine) = (seat(0, 1), token(&[(0, 9)]));
    let (answer, ()) = tokio::join!(harness.get(&seat, &nine), async {
        pause(Duration::from_millis(50)).await;
        harness.project_and_announce(0, 9, "taken").await;
    });
    let answer = answer.unwrap();
    assert_eq!(answer.value.as_deref(), Some("free".as_bytes()));
    assert_eq!((answer.read_at.token, answer.read_at.complete_up_to), (token(&[(0, 9)]), Some(time(9))));
}

#[tokio::test(start_paused = true)]
async fn an_announcement_below_the_token_does_not_satisfy_it() {
    let harness = with_announcements_only().await;
    harness.project_and_announce(0, 8, "taken").await;
    let behind = harness.get(&seat(0, 1), &token(&[(0, 9)])).await.unwrap_err();
    let QueryError::Behind { required, reached, .. } = behind else { panic!("{behind}") };
    assert_eq!((required, reached), (position(9), position(8)));
}

#[tokio::test(start_paused = true)]
async fn without_the_cache_waiting_calls_use_saved_progress() {
    let harness = QueryHarness::start().await;
    harness.store.disable_signals();
    harness.cache.set_down(true);
    let (seat, nine, ten) = (seat(0, 0), token(&[(0, 9)]), token(&[(0, 10)]));
    let (answer, ()) = tokio::join!(harness.get(&seat, &nine), async {
        pause(Duration::from_millis(50)).await;
        harness.write(SEATS, key(&seat), 9, "taken").await;
        harness.progress(SEATS, 0, 9).await;
    });
    assert_eq!(answer.unwrap().value.as_deref(), Some("taken".as_bytes()));
    // Announcements are seen again once the cache is back.
    harness.cache.set_down(false);
    let (answer, ()) = tokio::join!(harness.get(&seat, &ten), async {
        pause(Duration::from_millis(50)).await;
        harness.project_and_announce(0, 10, "free").await;
    });
    assert_eq!(answer.unwrap().value.as_deref(), Some("free".as_bytes()));
}
