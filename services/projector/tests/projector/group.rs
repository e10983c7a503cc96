//! Members of a group come, go and hang.

use std::{sync::Arc, time::Duration};

use diptych_embedded::GroupTimeouts;
use diptych_kernel::{
    RecordedEvent,
    domain::RowKey,
    ports::{Assignment, Consumer, EventLog, LogSignal, ProgressStore, RowWrite, ViewStore},
    testing::theatre::{Event, SEATS, Theatre},
};
use diptych_projector::Ports;

use crate::{
    stage::{HonestPorts, Stage, config, partition, partitions, playing, seat},
    stores::GatedViews,
};

/// Joins the group as a member that is not there otherwise; what it is given when all others are gone.
pub(crate) async fn assignments(stage: &Stage, member: &str) -> Vec<Assignment> {
    let mut consumer = stage.log.join("projectors", member).await.unwrap();
    let mut all = Vec::new();
    while all.len() < usize::from(partitions().count()) {
        match consumer.poll(1, Duration::from_secs(30)).await.unwrap() {
            LogSignal::Assigned(assigned) => all.extend(assigned),
            other => panic!("{other:?}"),
        }
    }
    all
}

type GatedPorts = Ports<
    diptych_embedded::EmbeddedEventStore,
    diptych_embedded::EmbeddedEventLog,
    GatedViews,
    diptych_embedded::EmbeddedViewStore,
    diptych_embedded::EmbeddedViewCache,
>;

fn gated(stage: &Stage, views: &Arc<GatedViews>) -> GatedPorts {
    let HonestPorts { events, log, progress, cache, .. } = stage.ports();
    Ports { events, log, views: Arc::clone(views), progress, cache }
}

/// Something happens in every partition: the same seats are taken and left, again and again.
async fn a_round(stage: &Stage, number: usize) -> Vec<RecordedEvent> {
    let mut all = Vec::new();
    for partition in partitions().iter() {
        let seat = seat(partition.number(), 0);
        let event = if number.is_multiple_of(2) { Event::reserved("ada") } else { Event::released("ada") };
        all.extend(stage.happen(&[(&seat, event)]).await);
    }
    all
}

#[tokio::test(start_paused = true)]
async fn two_members_share_the_work_and_one_takes_all_when_the_other_goes() {
    let stage = Stage::new();
    let [one, two] = [(); 2].map(|()| GatedViews::open(&stage.views));
    let mut rounds = 0;
    let share = async {
        let before = one.writes_count();
        let both_work = async || {
            a_round(&stage, rounds).await;
            rounds += 1;
            stage.until_projected::<Theatre>().await;
            one.writes_count() > before && two.writes_count() > 3
        };
        stage.until("both members work", both_work).await;
    };
    let story = async {
        stage.until_projected::<Theatre>().await;
        playing::<Theatre, _, _, _, _, _, _>(gated(&stage, &two), config("two"), share).await;
        stage.assert_right().await;
        // The second one is gone.
        let before = (one.writes_count(), two.writes_count());
        let seats: Vec<_> = partitions().iter().map(|partition| seat(partition.number(), 1)).collect();
        for seat in &seats {
            stage.happen(&[(seat, Event::reserved("bob"))]).await;
        }
        stage.until_projected::<Theatre>().await;
        assert!(one.writes_count() > before.0);
        assert_eq!(two.writes_count(), before.1);
    };
    stage.happen(&[(&seat(0, 2), Event::reserved("eve"))]).await;
    playing::<Theatre, _, _, _, _, _, _>(gated(&stage, &one), config("one"), story).await;
    stage.assert_right().await;
}

#[tokio::test(start_paused = true)]
async fn a_member_that_hung_writes_on_and_does_no_harm() {
    let stage = Stage::new();
    let zombie = GatedViews::open(&stage.views);
    let seats: Vec<_> = partitions().iter().map(|partition| seat(partition.number(), 0)).collect();
    let story = async {
        a_round(&stage, 0).await;
        stage.until_projected::<Theatre>().await;
        zombie.set_open(false);
        a_round(&stage, 1).await;
        stage.until("the first member hangs", async || zombie.waiting_count() == 1).await;
        let others = async {
            // The session of the first one ends, and the second one does its work and more.
            stage.until_projected::<Theatre>().await;
            a_round(&stage, 2).await;
            stage.until_projected::<Theatre>().await;
            let mut rows = Vec::new();
            for seat in &seats {
                rows.push(stage.row(SEATS, &RowKey::single(seat.as_str())).await);
            }
            let before = zombie.writes_count();
            zombie.set_open(true);
            stage.until("the first member has written", async || zombie.writes_count() > before).await;
            for (seat, row) in seats.iter().zip(rows) {
                assert_eq!(stage.row(SEATS, &RowKey::single(seat.as_str())).await, row, "a row went back");
            }
            stage.assert_right().await;
            // Both are members now, and go on.
            for number in 3..9 {
                a_round(&stage, number).await;
                stage.until_projected::<Theatre>().await;
                stage.assert_right().await;
            }
        };
        stage_two(&stage, others).await;
        // The one that hung has all of it again.
        a_round(&stage, 9).await;
        stage.until_projected::<Theatre>().await;
    };
    playing::<Theatre, _, _, _, _, _, _>(gated(&stage, &zombie), config("one"), story).await;
    stage.assert_right().await;
}

#[tokio::test(start_paused = true)]
async fn a_member_whose_store_is_away_keeps_its_partitions() {
    let stage = Stage::new();
    let [one, two] = [(); 2].map(|()| GatedViews::open(&stage.views));
    let story = async {
        a_round(&stage, 0).await;
        stage.until_projected::<Theatre>().await;
        let others = async {
            let mut number = 1;
            let both_work = async || {
                let before = (one.writes_count(), two.writes_count());
                a_round(&stage, number).await;
                number += 1;
                stage.until_projected::<Theatre>().await;
                one.writes_count() > before.0 && two.writes_count() > before.1
            };
            stage.until("both members work", both_work).await;
            one.set_away(true);
            let newest = a_round(&stage, number).await;
            // Several sessions: who said nothing would be replaced.
            tokio::time::sleep(5 * GroupTimeouts::default().session).await;
            let mut missing = 0;
            for event in &newest {
                let row = stage.row(SEATS, &RowKey::single(event.stream_id.as_str())).await;
                missing += usize::from(row.is_none_or(|row| row.position < event.position));
            }
            assert!((1..newest.len()).contains(&missing), "{missing} of {} partitions stand still", newest.len());
            one.set_away(false);
            stage.until_projected::<Theatre>().await;
        };
        playing::<Theatre, _, _, _, _, _, _>(gated(&stage, &two), config("two"), others).await;
    };
    playing::<Theatre, _, _, _, _, _, _>(gated(&stage, &one), config("one"), story).await;
    stage.assert_right().await;
}

async fn stage_two(stage: &Stage, story: impl Future<Output = ()>) {
    playing::<Theatre, _, _, _, _, _, _>(stage.ports(), config("two"), story).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_written_long_ago_and_arrives_now_changes_nothing() {
    let stage = Stage::new();
    a_round(&stage, 0).await;
    stage.project_all().await;
    let key = RowKey::single(seat(0, 0).as_str());
    let old_row = stage.row(SEATS, &key).await.unwrap();
    let old_progress = stage.views.load(&[SEATS]).await.unwrap();
    a_round(&stage, 1).await;
    stage.project_all().await;
    stage.views.write(&[RowWrite { view: SEATS, key, row: old_row }]).await.unwrap();
    stage.views.save(&old_progress).await.unwrap();
    stage.assert_right().await;
    assert_eq!(stage.seat(&seat(0, 0)).await, Some((2, None)));
    assert!(stage.progress(SEATS, partition(0)).await.position > old_progress[0].progress.position);
}
