//! Members of a group that join, leave and hang.

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
    harness::{EmbeddedPorts, ProjectorHarness, config, partition, partitions, run_projector_during, seat},
    stores::{GatedViews, ScreenedEvents},
};

/// Joins the group as another member, and returns its assignments once all others have left.
pub(crate) async fn assignments(harness: &ProjectorHarness, member: &str) -> Vec<Assignment> {
    let mut consumer = harness.log.join("projectors", member).await.unwrap();
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

fn gated(harness: &ProjectorHarness, views: &Arc<GatedViews>) -> GatedPorts {
    let EmbeddedPorts { events, log, progress, cache, .. } = harness.ports();
    Ports { events, log, views: Arc::clone(views), progress, cache }
}

/// Stores and publishes one event in every partition: the same seats are reserved in even rounds and released in odd
/// ones.
async fn store_round(harness: &ProjectorHarness, number: usize) -> Vec<RecordedEvent> {
    let mut all = Vec::new();
    for partition in partitions().iter() {
        let seat = seat(partition.number(), 0);
        let event = if number.is_multiple_of(2) { Event::reserved("ada") } else { Event::released("ada") };
        all.extend(harness.append_and_publish(&[(&seat, event)]).await);
    }
    all
}

#[tokio::test(start_paused = true)]
async fn two_members_share_the_partitions_and_one_takes_over_when_the_other_leaves() {
    let harness = ProjectorHarness::new();
    let [one, two] = [(); 2].map(|()| GatedViews::open(&harness.views));
    let mut rounds = 0;
    let share = async {
        let before = one.writes_count();
        let both_work = async || {
            store_round(&harness, rounds).await;
            rounds += 1;
            harness.wait_until_projected::<Theatre>().await;
            one.writes_count() > before && two.writes_count() > 3
        };
        harness.wait_until("both members write rows", both_work).await;
    };
    let scenario = async {
        harness.wait_until_projected::<Theatre>().await;
        run_projector_during::<Theatre, _, _, _, _, _, _>(gated(&harness, &two), config("two"), share).await;
        harness.assert_views_correct().await;
        // The second member has left.
        let before = (one.writes_count(), two.writes_count());
        let seats: Vec<_> = partitions().iter().map(|partition| seat(partition.number(), 1)).collect();
        for seat in &seats {
            harness.append_and_publish(&[(seat, Event::reserved("bob"))]).await;
        }
        harness.wait_until_projected::<Theatre>().await;
        assert!(one.writes_count() > before.0);
        assert_eq!(two.writes_count(), before.1);
    };
    harness.append_and_publish(&[(&seat(0, 2), Event::reserved("eve"))]).await;
    run_projector_during::<Theatre, _, _, _, _, _, _>(gated(&harness, &one), config("one"), scenario).await;
    harness.assert_views_correct().await;
}

#[tokio::test(start_paused = true)]
async fn late_writes_of_a_member_that_hung_do_no_harm() {
    let harness = ProjectorHarness::new();
    let zombie = GatedViews::open(&harness.views);
    let seats: Vec<_> = partitions().iter().map(|partition| seat(partition.number(), 0)).collect();
    let scenario = async {
        store_round(&harness, 0).await;
        harness.wait_until_projected::<Theatre>().await;
        zombie.set_open(false);
        store_round(&harness, 1).await;
        harness.wait_until("the first member hangs", async || zombie.waiting_count() == 1).await;
        let others = async {
            // The session of the first member times out, and the second one takes over its partitions.
            harness.wait_until_projected::<Theatre>().await;
            store_round(&harness, 2).await;
            harness.wait_until_projected::<Theatre>().await;
            let mut rows = Vec::new();
            for seat in &seats {
                rows.push(harness.row(SEATS, &RowKey::single(seat.as_str())).await);
            }
            let before = zombie.writes_count();
            zombie.set_open(true);
            harness.wait_until("the first member has written", async || zombie.writes_count() > before).await;
            for (seat, row) in seats.iter().zip(rows) {
                assert_eq!(harness.row(SEATS, &RowKey::single(seat.as_str())).await, row, "a row must not go back");
            }
            harness.assert_views_correct().await;
            // Both are members now.
            for number in 3..9 {
                store_round(&harness, number).await;
                harness.wait_until_projected::<Theatre>().await;
                harness.assert_views_correct().await;
            }
        };
        run_second_member(&harness, others).await;
        // The member that hung owns all partitions again.
        store_round(&harness, 9).await;
        harness.wait_until_projected::<Theatre>().await;
    };
    run_projector_during::<Theatre, _, _, _, _, _, _>(gated(&harness, &zombie), config("one"), scenario).await;
    harness.assert_views_correct().await;
}

#[tokio::test(start_paused = true)]
async fn a_member_whose_store_is_down_keeps_its_partitions() {
    let harness = ProjectorHarness::new();
    let [one, two] = [(); 2].map(|()| GatedViews::open(&harness.views));
    let scenario = async {
        store_round(&harness, 0).await;
        harness.wait_until_projected::<Theatre>().await;
        let others = async {
            let mut number = 1;
            let both_work = async || {
                let before = (one.writes_count(), two.writes_count());
                store_round(&harness, number).await;
                number += 1;
                harness.wait_until_projected::<Theatre>().await;
                one.writes_count() > before.0 && two.writes_count() > before.1
            };
            harness.wait_until("both members write rows", both_work).await;
            one.set_down(true);
            let newest = store_round(&harness, number).await;
            // Longer than several session timeouts: a silent member would be replaced.
            tokio::time::sleep(5 * GroupTimeouts::default().session).await;
            let mut missing = 0;
            for event in &newest {
                let row = harness.row(SEATS, &RowKey::single(event.stream_id.as_str())).await;
                missing += usize::from(row.is_none_or(|row| row.position < event.position));
            }
            assert!(
                (1..newest.len()).contains(&missing),
                "rows of {missing} of {} partitions are missing",
                newest.len()
            );
            one.set_down(false);
            harness.wait_until_projected::<Theatre>().await;
        };
        run_projector_during::<Theatre, _, _, _, _, _, _>(gated(&harness, &two), config("two"), others).await;
    };
    run_projector_during::<Theatre, _, _, _, _, _, _>(gated(&harness, &one), config("one"), scenario).await;
    harness.assert_views_correct().await;
}

#[tokio::test(start_paused = true)]
async fn a_member_whose_stores_are_slow_keeps_its_partitions() {
    let session = GroupTimeouts::default().session;
    let harness = ProjectorHarness::new();
    let slow = GatedViews::open(&harness.views);
    let events = ScreenedEvents::hiding(&harness.events, &store_round(&harness, 0).await[0]);
    events.show();
    let EmbeddedPorts { log, cache, .. } = harness.ports();
    let (views, progress) = (Arc::clone(&slow), Arc::clone(&slow));
    let ports = Ports { events: Arc::clone(&events), log, views, progress, cache };
    let scenario = async {
        harness.wait_until_projected::<Theatre>().await;
        let mut other = harness.log.join("projectors", "two").await.unwrap();
        let first = loop {
            match other.poll(1, Duration::from_secs(30)).await.unwrap() {
                LogSignal::Assigned(assigned) => break assigned,
                LogSignal::Idle => {}
                signal => panic!("{signal:?}"),
            }
        };
        // Each step of the batch takes a third of the session, and together they take several sessions.
        slow.set_delay(session / 3);
        events.set_delay(session / 3);
        let mut stored = Vec::new();
        for partition in partitions().iter() {
            let is_of_other = first.iter().any(|assignment| assignment.partition == partition);
            let seats = (1..9).map(|number| seat(partition.number(), number));
            for seat in seats.filter(|_| !is_of_other) {
                // The versions that are missing in the log are read from the write database.
                harness.store(&[(&seat, Event::reserved("ada"))]).await;
                stored.extend(harness.append_and_publish(&[(&seat, Event::released("ada"))]).await);
            }
        }
        let is_projected = async || {
            let mut is_projected = true;
            for event in &stored {
                let row = harness.row(SEATS, &RowKey::single(event.stream_id.as_str())).await;
                is_projected &= row.is_some_and(|row| row.position >= event.position);
            }
            is_projected
        };
        let until_projected = harness.wait_until("the batch is projected", is_projected);
        let watch_group = async {
            loop {
                match other.poll(1, session / 10).await.unwrap() {
                    LogSignal::Idle | LogSignal::Records(_) => {}
                    signal => panic!("the group was rebalanced: {signal:?}"),
                }
            }
        };
        let began_at = tokio::time::Instant::now();
        tokio::select! {
            () = until_projected => {}
            () = watch_group => {}
        }
        assert!(began_at.elapsed() > 2 * session, "the batch was too short for this test");
        slow.set_delay(Duration::ZERO);
        events.set_delay(Duration::ZERO);
    };
    run_projector_during::<Theatre, _, _, _, _, _, _>(ports, config("one"), scenario).await;
    harness.project_all().await;
    harness.assert_views_correct().await;
}

async fn run_second_member(harness: &ProjectorHarness, scenario: impl Future<Output = ()>) {
    run_projector_during::<Theatre, _, _, _, _, _, _>(harness.ports(), config("two"), scenario).await;
}

#[tokio::test(start_paused = true)]
async fn an_old_write_that_arrives_late_changes_nothing() {
    let harness = ProjectorHarness::new();
    store_round(&harness, 0).await;
    harness.project_all().await;
    let key = RowKey::single(seat(0, 0).as_str());
    let old_row = harness.row(SEATS, &key).await.unwrap();
    let old_progress = harness.views.load(&[SEATS]).await.unwrap();
    store_round(&harness, 1).await;
    harness.project_all().await;
    harness.views.write(&[RowWrite { view: SEATS, key, row: old_row }]).await.unwrap();
    harness.views.save(&old_progress).await.unwrap();
    harness.assert_views_correct().await;
    assert_eq!(harness.seat(&seat(0, 0)).await, Some((2, None)));
    assert!(harness.progress(SEATS, partition(0)).await.position > old_progress[0].progress.position);
}
