//! What projectors tell through the cache: who waits hears of it before it is saved.

use std::time::Duration;

use diptych_kernel::{
    Partition,
    ports::{Progress, ProgressUpdate, ViewCache},
};
use diptych_query::{QueryConfig, QueryError};
use diptych_runtime::{PROGRESS_ANNOUNCEMENTS, encode_progress_announcement, pause, progress_announcement_key};
use tokio::time::Instant;

use crate::stage::{SEATS, Stage, key, position, row, seat, time, token};

/// Longer than any test waits: what is seen was told.
const NEVER: Duration = Duration::from_secs(3_600);

/// With a read database that does not tell what is saved, and is looked at once only.
async fn deaf() -> Stage {
    let stage = Stage::with(QueryConfig {
        progress_wait_max: NEVER,
        progress_wait_max_while_calls_wait: NEVER - Duration::from_secs(1),
        ..QueryConfig::default()
    });
    let stage = stage.await;
    stage.store.set_remote();
    // Ends the wait that began while saves were still told.
    stage.progress(SEATS, 3, 2).await;
    stage.until_seen(3, 2).await;
    stage
}

impl Stage {
    /// What a projector does after an event of a seat, before it saves progress.
    async fn project_and_tell(&self, number: usize, at: i64, body: &str) {
        let seat = seat(0, number);
        self.write(SEATS, key(&seat), at, body).await;
        self.refresh(&seat, row(at, at, body)).await;
        self.tell(at).await;
    }

    async fn tell(&self, at: i64) {
        let progress = Progress { position: position(at), as_of: time(at), ..Progress::default() };
        let partition = Partition::new(0);
        let news = encode_progress_announcement(&[ProgressUpdate { view: SEATS, partition, progress }]);
        self.cache.refresh(PROGRESS_ANNOUNCEMENTS, &[(progress_announcement_key(partition), news)]).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_hears_what_is_told_soon() {
    let stage = deaf().await;
    let telling = async {
        pause(Duration::from_millis(333)).await;
        stage.project_and_tell(0, 9, "taken").await;
        Instant::now()
    };
    let reading = async {
        let body = stage.body(&seat(0, 0), &token(&[(0, 9)])).await;
        (body, Instant::now())
    };
    let ((body, seen_at), told_at) = tokio::join!(reading, telling);
    assert_eq!(body, "taken");
    // Two timer ticks of a millisecond beside the patience.
    let bound = QueryConfig::default().announcement_poll_interval + Duration::from_millis(2);
    assert!(seen_at - told_at <= bound, "{:?}", seen_at - told_at);
}

#[tokio::test(start_paused = true)]
async fn news_says_of_rows_that_are_not_cached_that_they_can_be_read() {
    let stage = deaf().await;
    // The event was one of another seat of the partition: this one is right up to it as it stands.
    stage.write(SEATS, key(&seat(0, 1)), 1, "free").await;
    let (asked, nine) = (seat(0, 1), token(&[(0, 9)]));
    let (answer, ()) = tokio::join!(stage.get(&asked, &nine), async {
        pause(Duration::from_millis(50)).await;
        stage.project_and_tell(0, 9, "taken").await;
    });
    let answer = answer.unwrap();
    assert_eq!(answer.value.as_deref(), Some("free".as_bytes()));
    assert_eq!((answer.read_at.token, answer.read_at.complete_up_to), (token(&[(0, 9)]), Some(time(9))));
}

#[tokio::test(start_paused = true)]
async fn news_that_is_not_enough_is_not_taken_for_it() {
    let stage = deaf().await;
    stage.project_and_tell(0, 8, "taken").await;
    let behind = stage.get(&seat(0, 1), &token(&[(0, 9)])).await.unwrap_err();
    let QueryError::Behind { required, reached, .. } = behind else { panic!("{behind}") };
    assert_eq!((required, reached), (position(9), position(8)));
}

#[tokio::test(start_paused = true)]
async fn without_the_cache_what_is_saved_has_to_do() {
    let stage = Stage::start().await;
    stage.store.set_remote();
    stage.cache.set_down(true);
    let (seat, nine, ten) = (seat(0, 0), token(&[(0, 9)]), token(&[(0, 10)]));
    let (answer, ()) = tokio::join!(stage.get(&seat, &nine), async {
        pause(Duration::from_millis(50)).await;
        stage.write(SEATS, key(&seat), 9, "taken").await;
        stage.progress(SEATS, 0, 9).await;
    });
    assert_eq!(answer.unwrap().value.as_deref(), Some("taken".as_bytes()));
    // And news is heard again when it is back.
    stage.cache.set_down(false);
    let (answer, ()) = tokio::join!(stage.get(&seat, &ten), async {
        pause(Duration::from_millis(50)).await;
        stage.project_and_tell(0, 10, "free").await;
    });
    assert_eq!(answer.unwrap().value.as_deref(), Some("free".as_bytes()));
}
