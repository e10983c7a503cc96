//! Progress is told through the cache at once, and saved a little later.

use std::time::Duration;

use diptych_kernel::{
    Partition, Position,
    domain::ViewId,
    ports::{CacheRead, Progress, ViewCache},
    testing::theatre::{Event, HOUSES, SEATS, Theatre, VISITS},
};
use diptych_projector::{ProjectorConfig, run};
use diptych_runtime::{PROGRESS_ANNOUNCEMENTS, Shutdown, decode_progress_announcement, progress_announcement_key};

use crate::stage::{Stage, config, partition, playing, seat};

/// Longer than any test waits.
const NEVER: Duration = Duration::from_secs(3_600);

fn saving_every(progress_interval: Duration) -> ProjectorConfig {
    ProjectorConfig { progress_interval, ..config("one") }
}

impl Stage {
    async fn news(&self, view: ViewId, partition: Partition) -> Option<Progress> {
        let keys = [progress_announcement_key(partition)];
        let CacheRead::Hit(row) = self.cache.read(PROGRESS_ANNOUNCEMENTS, &keys).await.unwrap().remove(0) else {
            return None;
        };
        decode_progress_announcement(&row, partition, &[view]).pop().map(|update| update.progress)
    }

    async fn until_told(&self, number: u16, position: Position) {
        let is_told = async || {
            let news = self.news(SEATS, partition(number)).await;
            news.is_some_and(|news| news.position >= position)
        };
        self.until("progress is told", is_told).await;
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_told_of_durable_rows_before_it_is_saved() {
    let stage = Stage::new();
    let seat = seat(1, 0);
    let events = stage.happen(&[(&seat, Event::reserved("ada"))]).await;
    let told = stage.until_told(1, events[0].position);
    playing::<Theatre, _, _, _, _, _, _>(stage.ports(), saving_every(NEVER), told).await;
    assert_eq!(stage.seat(&seat).await, Some((1, Some("ada".into()))));
    for view in [SEATS, VISITS, HOUSES] {
        assert_eq!(stage.progress(view, partition(1)).await, Progress::default(), "{view}");
        let news = stage.news(view, partition(1)).await.unwrap();
        assert_eq!(
            (news.position, news.as_of, news.parked),
            (events[0].position, events[0].recorded_at, vec![]),
            "{view}"
        );
    }
    // The one who told it is gone, and has saved nothing: all of it is done once more, and changes nothing.
    stage.project_all().await;
    stage.assert_right().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_told_is_saved_as_it_was_told() {
    let stage = Stage::new();
    stage.happen(&[(&seat(0, 0), Event::reserved("ada")), (&seat(1, 0), Event::reserved("bob"))]).await;
    let story = stage.until_projected::<Theatre>();
    playing::<Theatre, _, _, _, _, _, _>(stage.ports(), saving_every(Duration::from_millis(20)), story).await;
    for number in [0, 1] {
        let saved = stage.progress(SEATS, partition(number)).await;
        assert_eq!(Some(saved), stage.news(SEATS, partition(number)).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_that_leaves_saves_what_it_has_told() {
    let stage = Stage::new();
    let events = stage.happen(&[(&seat(1, 0), Event::reserved("ada"))]).await;
    let shutdown = Shutdown::new();
    let member = run::<Theatre, _, _, _, _, _>(stage.ports(), saving_every(NEVER), shutdown.clone());
    let story = async {
        stage.until_told(1, events[0].position).await;
        shutdown.begin();
    };
    let (ended, ()) = tokio::join!(member, story);
    ended.unwrap();
    assert_eq!(stage.progress(SEATS, partition(1)).await.position, events[0].position);
}

#[tokio::test(start_paused = true)]
async fn that_a_stream_is_parked_is_saved_at_once_and_never_only_told() {
    let stage = Stage::new();
    let bad = seat(1, 0);
    let unknown = stage.store_unknown(&bad).await;
    stage.publish(&unknown).await;
    let is_parked = async || !stage.parked(SEATS, partition(1)).await.is_empty();
    let parked = stage.until("the stream is parked", is_parked);
    playing::<Theatre, _, _, _, _, _, _>(stage.ports(), saving_every(NEVER), parked).await;
    assert_eq!(stage.news(SEATS, partition(1)).await, None);
}

#[tokio::test(start_paused = true)]
async fn where_every_save_is_signalled_nothing_is_told() {
    let stage = Stage::new();
    stage.happen(&[(&seat(1, 0), Event::reserved("ada"))]).await;
    let story = stage.until_projected::<Theatre>();
    playing::<Theatre, _, _, _, _, _, _>(stage.ports(), saving_every(Duration::ZERO), story).await;
    assert_eq!(stage.news(SEATS, partition(1)).await, None);
}
