//! How often progress is looked for: seldom while nobody waits, often while somebody does, once for all who wait.

use std::time::Duration;

use diptych_query::QueryConfig;
use diptych_runtime::pause;
use futures::future::join_all;
use tokio::time::Instant;

use crate::stage::{SEATS, Stage, after, key, seat, token};

const PATIENCE: Duration = Duration::from_millis(100);
const PATIENCE_WAITING: Duration = Duration::from_millis(2);

/// With a read database that does not tell what is saved, as one in another process.
async fn remote() -> Stage {
    let config = QueryConfig {
        progress_wait_max: PATIENCE,
        progress_wait_max_while_calls_wait: PATIENCE_WAITING,
        ..QueryConfig::default()
    };
    let stage = Stage::with(config).await;
    stage.store.set_remote();
    // Past the wait that began while saves were still told, so that the next one is as long as it can be.
    pause(PATIENCE).await;
    stage
}

/// How often progress is loaded during so long.
async fn loads(stage: &Stage, duration: Duration) -> usize {
    let before = stage.store.loads();
    pause(duration).await;
    stage.store.loads() - before
}

#[tokio::test(start_paused = true)]
async fn a_read_database_elsewhere_is_looked_at_often_only_while_somebody_waits() {
    let stage = remote().await;
    let second = Duration::from_secs(1);
    assert!((9..=11).contains(&loads(&stage, second).await));
    let (seat, nine) = (seat(0, 0), token(&[(0, 9)]));
    let waiting = stage.reader.get(SEATS, &seat, key(&seat), &nine, after(1_000));
    let (answer, while_waiting) = tokio::join!(waiting, loads(&stage, second));
    assert!(answer.is_err());
    assert!((490..=510).contains(&while_waiting), "{while_waiting}");
    // The last short wait may just have begun.
    assert!((9..=12).contains(&loads(&stage, second).await));
}

#[tokio::test(start_paused = true)]
async fn who_waits_first_has_progress_looked_for_at_once() {
    let stage = remote().await;
    let seat = seat(0, 0);
    stage.project(&seat, 9, "taken").await;
    stage.cache.set_down(true);
    let began = Instant::now();
    assert_eq!(stage.body(&seat, &token(&[(0, 9)])).await, "taken");
    assert!(began.elapsed() < PATIENCE_WAITING, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_is_saved_elsewhere_is_seen_soon_by_who_waits() {
    let stage = remote().await;
    let (seat, nine) = (seat(0, 0), token(&[(0, 9)]));
    let saving = async {
        pause(Duration::from_millis(333)).await;
        stage.project(&seat, 9, "taken").await;
        Instant::now()
    };
    let reading = async {
        let body = stage.body(&seat, &nine).await;
        (body, Instant::now())
    };
    let ((body, seen_at), saved_at) = tokio::join!(reading, saving);
    assert_eq!(body, "taken");
    // Two timer ticks of a millisecond beside the patience.
    assert!(seen_at - saved_at <= PATIENCE_WAITING + Duration::from_millis(2), "{:?}", seen_at - saved_at);
}

#[tokio::test(start_paused = true)]
async fn one_look_serves_all_who_wait() {
    let stage = remote().await;
    let nine = token(&[(0, 9)]);
    let asked: Vec<_> = (0..100).map(|number| seat(0, number)).collect();
    let reading = join_all(asked.iter().map(|seat| stage.get(seat, &nine)));
    let saving = async {
        let while_waiting = loads(&stage, Duration::from_millis(500)).await;
        stage.progress(SEATS, 0, 9).await;
        while_waiting
    };
    let (answers, while_waiting) = tokio::join!(reading, saving);
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert!((245..=255).contains(&while_waiting), "{while_waiting}");
}

#[tokio::test(start_paused = true)]
async fn a_read_database_that_tells_is_not_looked_at_for_those_who_wait() {
    let stage =
        Stage::with(QueryConfig { progress_wait_max_while_calls_wait: PATIENCE, ..QueryConfig::default() }).await;
    let (seat, nine) = (seat(0, 0), token(&[(0, 9)]));
    let saving = async {
        let while_waiting = loads(&stage, Duration::from_millis(500)).await;
        stage.project(&seat, 9, "taken").await;
        (while_waiting, Instant::now())
    };
    let reading = async {
        let body = stage.body(&seat, &nine).await;
        (body, Instant::now())
    };
    let ((body, seen_at), (while_waiting, saved_at)) = tokio::join!(reading, saving);
    assert_eq!((body.as_str(), seen_at - saved_at), ("taken", Duration::ZERO));
    assert!(while_waiting <= 6, "{while_waiting}");
}
