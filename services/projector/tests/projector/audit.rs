//! Differences that the audit has to report.

use bytes::Bytes;
use diptych_kernel::{
    Position,
    domain::RowKey,
    ports::{Progress, ProgressStore, ProgressUpdate, Row, RowWrite, ViewStore},
    testing::theatre::{Event, GUESTS, HOUSES, SEATS, SeatRow, Theatre, VISITS},
};
use diptych_projector::audit::{Difference, Finding, audit};

use crate::{
    harness::{ProjectorHarness, partition, seat},
    stores::ScreenedEvents,
};

/// Three seats of two partitions, projected.
async fn projected() -> ProjectorHarness {
    let harness = ProjectorHarness::new();
    harness.append_and_publish(&[(&seat(0, 0), Event::reserved("ada")), (&seat(0, 1), Event::reserved("bob"))]).await;
    harness.append_and_publish(&[(&seat(1, 0), Event::reserved("eve"))]).await;
    harness.append_and_publish(&[(&seat(0, 0), Event::released("ada"))]).await;
    harness.project_all().await;
    harness.assert_views_correct().await;
    harness
}

impl ProjectorHarness {
    async fn write_seat(&self, key: &RowKey, position: Position, body: Option<Bytes>) {
        let row = Row { position, body };
        self.views.write(&[RowWrite { view: SEATS, key: key.clone(), row }]).await.unwrap();
    }

    /// The only difference.
    async fn difference(&self) -> Difference {
        let report = self.audit::<Theatre>().await;
        assert!(!report.is_clean());
        assert_eq!(report.differences_count, 1, "{:#?}", report.differences);
        report.differences[0].clone()
    }

    async fn end(&self) -> Position {
        self.all_events().await.last().unwrap().position
    }
}

fn of_seat(key: RowKey, finding: Finding) -> Difference {
    Difference::Row { view: SEATS, key, finding }
}

fn wrong_body() -> Option<Bytes> {
    Some(SeatRow { version: diptych_kernel::Version::new(9), guest: Some("nobody".into()) }.encode())
}

#[tokio::test(start_paused = true)]
async fn a_row_with_other_content_is_reported() {
    let harness = ProjectorHarness::new();
    let seat = seat(0, 0);
    let key = RowKey::single(seat.as_str());
    let stored = harness.append_and_publish(&[(&seat, Event::reserved("ada"))]).await;
    // The row is written before the projector starts, and counts as folded.
    harness.views.ensure_views(&[SEATS]).await.unwrap();
    harness.write_seat(&key, stored[0].position, wrong_body()).await;
    harness.project_all().await;
    assert_eq!(harness.difference().await, of_seat(key, Finding::Altered { position: stored[0].position }));
}

#[tokio::test(start_paused = true)]
async fn a_row_with_other_content_at_a_later_position_is_reported() {
    let harness = projected().await;
    let key = RowKey::single(seat(0, 1).as_str());
    let row = harness.row(SEATS, &key).await.unwrap();
    let later = harness.end().await;
    harness.write_seat(&key, later, wrong_body()).await;
    let finding = Finding::Misplaced { expected: row.position, stored: later };
    assert_eq!(harness.difference().await, of_seat(key, finding));
}

#[tokio::test(start_paused = true)]
async fn a_row_at_a_position_at_which_it_did_not_change_is_reported() {
    let harness = projected().await;
    let key = RowKey::single(seat(0, 1).as_str());
    let row = harness.row(SEATS, &key).await.unwrap();
    let later = harness.end().await;
    harness.write_seat(&key, later, row.body).await;
    let finding = Finding::Misplaced { expected: row.position, stored: later };
    assert_eq!(harness.difference().await, of_seat(key, finding));
}

#[tokio::test(start_paused = true)]
async fn a_row_deleted_at_a_later_position_is_reported() {
    let harness = projected().await;
    let key = RowKey::single(seat(0, 1).as_str());
    let row = harness.row(SEATS, &key).await.unwrap();
    let later = harness.end().await.plus(1);
    harness.write_seat(&key, later, None).await;
    let finding = Finding::Misplaced { expected: row.position, stored: later };
    assert_eq!(harness.difference().await, of_seat(key, finding));
}

#[tokio::test(start_paused = true)]
async fn a_row_over_many_streams_with_other_content_at_a_later_position_is_reported() {
    let harness = projected().await;
    let key = diptych_kernel::testing::theatre::house_key(partition(0));
    let body = diptych_kernel::testing::theatre::HouseRow { seats_taken: 7, events_count: 3 }.encode();
    let row = Row { position: harness.end().await.plus(1), body: Some(body) };
    harness.views.write(&[RowWrite { view: HOUSES, key: key.clone(), row }]).await.unwrap();
    let found = harness.difference().await;
    assert!(matches!(&found, Difference::Row { view: HOUSES, key: of, .. } if *of == key), "{found}");
}

#[tokio::test(start_paused = true)]
async fn rows_missing_although_progress_covers_them_are_reported() {
    let harness = ProjectorHarness::new();
    let stored = harness.store(&[(&seat(0, 0), Event::reserved("ada"))]).await;
    let views = [SEATS, VISITS, HOUSES, GUESTS];
    harness.views.ensure_views(&views).await.unwrap();
    assert!(harness.audit::<Theatre>().await.is_clean());
    let progress = Progress { position: stored[0].position, as_of: harness.now(), ..Progress::default() };
    let updates = views.map(|view| ProgressUpdate { view, partition: partition(0), progress: progress.clone() });
    harness.views.save(&updates).await.unwrap();
    let report = harness.audit::<Theatre>().await;
    assert_eq!(report.differences_count, 4);
    let missing = Finding::Missing { expected: stored[0].position };
    assert!(
        report.differences.iter().all(|found| matches!(found, Difference::Row { finding, .. } if *finding == missing))
    );
}

#[tokio::test(start_paused = true)]
async fn a_row_behind_its_views_progress_is_reported() {
    let harness = projected().await;
    let (seat, key) = (seat(1, 0), RowKey::single(seat(1, 0).as_str()));
    let row = harness.row(SEATS, &key).await.unwrap();
    let stored = harness.store(&[(&seat, Event::released("eve"))]).await;
    let progress = Progress { position: stored[0].position, ..harness.progress(SEATS, partition(1)).await };
    harness.views.save(&[ProgressUpdate { view: SEATS, partition: partition(1), progress }]).await.unwrap();
    let finding = Finding::Misplaced { expected: stored[0].position, stored: row.position };
    assert_eq!(harness.difference().await, of_seat(key, finding));
}

#[tokio::test(start_paused = true)]
async fn a_row_that_no_event_makes_is_reported() {
    let harness = projected().await;
    let unused_position = harness.end().await.plus(5);
    let key = RowKey::single("seat-none");
    harness.write_seat(&key, unused_position, wrong_body()).await;
    assert_eq!(harness.difference().await, of_seat(key.clone(), Finding::Extra { stored: unused_position }));
    let harness = projected().await;
    let of_another = harness.end().await;
    harness.write_seat(&key, of_another, wrong_body()).await;
    assert_eq!(harness.difference().await, of_seat(key, Finding::Extra { stored: of_another }));
}

#[tokio::test(start_paused = true)]
async fn a_skipped_version_is_reported() {
    let harness = projected().await;
    let events = ScreenedEvents::hiding(&harness.events, &harness.all_events().await[0]);
    let report = audit::<Theatre, _, _, _>(&*events, &*harness.views, &*harness.views, 100).await.unwrap();
    let (expected, found) = (diptych_kernel::Version::new(1), diptych_kernel::Version::new(2));
    let skipped = Difference::VersionSkipped { stream_id: seat(0, 0), expected, found };
    assert!(report.differences.contains(&skipped), "{:#?}", report.differences);
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_event_that_is_not_parked_is_reported() {
    let harness = projected().await;
    let unknown = harness.store_unknown(&seat(1, 0)).await;
    for view in [SEATS, VISITS, HOUSES, GUESTS] {
        let progress = Progress { position: unknown[0].position, ..harness.progress(view, partition(1)).await };
        harness.views.save(&[ProgressUpdate { view, partition: partition(1), progress }]).await.unwrap();
    }
    let found = harness.difference().await;
    assert!(matches!(&found, Difference::Unreadable { view: None, .. }), "{found}");
}

#[tokio::test(start_paused = true)]
async fn events_not_projected_yet_are_counted_without_a_difference() {
    let harness = projected().await;
    harness.append_and_publish(&[(&seat(0, 0), Event::reserved("zoe")), (&seat(2, 0), Event::reserved("zoe"))]).await;
    let report = harness.audit::<Theatre>().await;
    assert!(report.is_clean());
    assert_eq!((report.events, report.events_not_yet_projected), (6, 2));
}

#[tokio::test(start_paused = true)]
async fn all_differences_are_counted_and_only_the_first_are_kept() {
    let harness = projected().await;
    let end = harness.end().await;
    for number in 0..30 {
        harness.write_seat(&RowKey::single(&format!("seat-none-{number}")), end.plus(1), wrong_body()).await;
    }
    let report = audit::<Theatre, _, _, _>(&*harness.events, &*harness.views, &*harness.views, 3).await.unwrap();
    assert_eq!((report.differences_count, report.differences.len()), (30, 3));
}
