//! The audit finds what is wrong.

use bytes::Bytes;
use diptych_kernel::{
    Position,
    domain::RowKey,
    ports::{Progress, ProgressStore, ProgressUpdate, Row, RowWrite, ViewStore},
    testing::theatre::{Event, GUESTS, HOUSES, SEATS, SeatRow, Theatre, VISITS},
};
use diptych_projector::audit::{Difference, Finding, audit};

use crate::{
    stage::{Stage, partition, seat},
    stores::ScreenedEvents,
};

/// Three seats of two partitions, projected.
async fn projected() -> Stage {
    let stage = Stage::new();
    stage.happen(&[(&seat(0, 0), Event::reserved("ada")), (&seat(0, 1), Event::reserved("bob"))]).await;
    stage.happen(&[(&seat(1, 0), Event::reserved("eve"))]).await;
    stage.happen(&[(&seat(0, 0), Event::released("ada"))]).await;
    stage.project_all().await;
    stage.assert_right().await;
    stage
}

impl Stage {
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

fn lie() -> Option<Bytes> {
    Some(SeatRow { version: diptych_kernel::Version::new(9), guest: Some("nobody".into()) }.encode())
}

#[tokio::test(start_paused = true)]
async fn a_row_with_other_content() {
    let stage = Stage::new();
    let seat = seat(0, 0);
    let key = RowKey::single(seat.as_str());
    let stored = stage.happen(&[(&seat, Event::reserved("ada"))]).await;
    // It was there before the projector came, and counts as folded.
    stage.views.ensure_views(&[SEATS]).await.unwrap();
    stage.write_seat(&key, stored[0].position, lie()).await;
    stage.project_all().await;
    assert_eq!(stage.difference().await, of_seat(key, Finding::Altered { position: stored[0].position }));
}

#[tokio::test(start_paused = true)]
async fn a_row_with_other_content_at_a_later_position() {
    let stage = projected().await;
    let key = RowKey::single(seat(0, 1).as_str());
    let row = stage.row(SEATS, &key).await.unwrap();
    let later = stage.end().await;
    stage.write_seat(&key, later, lie()).await;
    let finding = Finding::Misplaced { expected: row.position, stored: later };
    assert_eq!(stage.difference().await, of_seat(key, finding));
}

#[tokio::test(start_paused = true)]
async fn a_row_at_a_position_at_which_it_did_not_change() {
    let stage = projected().await;
    let key = RowKey::single(seat(0, 1).as_str());
    let row = stage.row(SEATS, &key).await.unwrap();
    let later = stage.end().await;
    stage.write_seat(&key, later, row.body).await;
    let finding = Finding::Misplaced { expected: row.position, stored: later };
    assert_eq!(stage.difference().await, of_seat(key, finding));
}

#[tokio::test(start_paused = true)]
async fn a_row_that_was_deleted_at_a_later_position() {
    let stage = projected().await;
    let key = RowKey::single(seat(0, 1).as_str());
    let row = stage.row(SEATS, &key).await.unwrap();
    let later = stage.end().await.plus(1);
    stage.write_seat(&key, later, None).await;
    let finding = Finding::Misplaced { expected: row.position, stored: later };
    assert_eq!(stage.difference().await, of_seat(key, finding));
}

#[tokio::test(start_paused = true)]
async fn a_partial_row_with_other_content_at_a_later_position() {
    let stage = projected().await;
    let key = diptych_kernel::testing::theatre::house_key(partition(0));
    let body = diptych_kernel::testing::theatre::HouseRow { seats_taken: 7, events_count: 3 }.encode();
    let row = Row { position: stage.end().await.plus(1), body: Some(body) };
    stage.views.write(&[RowWrite { view: HOUSES, key: key.clone(), row }]).await.unwrap();
    let found = stage.difference().await;
    assert!(matches!(&found, Difference::Row { view: HOUSES, key: of, .. } if *of == key), "{found}");
}

#[tokio::test(start_paused = true)]
async fn rows_that_are_missing_though_progress_promises_them() {
    let stage = Stage::new();
    let stored = stage.store(&[(&seat(0, 0), Event::reserved("ada"))]).await;
    let views = [SEATS, VISITS, HOUSES, GUESTS];
    stage.views.ensure_views(&views).await.unwrap();
    assert!(stage.audit::<Theatre>().await.is_clean());
    let progress = Progress { position: stored[0].position, as_of: stage.now(), ..Progress::default() };
    let updates = views.map(|view| ProgressUpdate { view, partition: partition(0), progress: progress.clone() });
    stage.views.save(&updates).await.unwrap();
    let report = stage.audit::<Theatre>().await;
    assert_eq!(report.differences_count, 4);
    let missing = Finding::Missing { expected: stored[0].position };
    assert!(
        report.differences.iter().all(|found| matches!(found, Difference::Row { finding, .. } if *finding == missing))
    );
}

#[tokio::test(start_paused = true)]
async fn a_row_that_is_behind_what_progress_promises() {
    let stage = projected().await;
    let (seat, key) = (seat(1, 0), RowKey::single(seat(1, 0).as_str()));
    let row = stage.row(SEATS, &key).await.unwrap();
    let stored = stage.store(&[(&seat, Event::released("eve"))]).await;
    let progress = Progress { position: stored[0].position, ..stage.progress(SEATS, partition(1)).await };
    stage.views.save(&[ProgressUpdate { view: SEATS, partition: partition(1), progress }]).await.unwrap();
    let finding = Finding::Misplaced { expected: stored[0].position, stored: row.position };
    assert_eq!(stage.difference().await, of_seat(key, finding));
}

#[tokio::test(start_paused = true)]
async fn a_row_that_no_event_makes() {
    let stage = projected().await;
    let nowhere = stage.end().await.plus(5);
    let key = RowKey::single("seat-none");
    stage.write_seat(&key, nowhere, lie()).await;
    assert_eq!(stage.difference().await, of_seat(key.clone(), Finding::Extra { stored: nowhere }));
    let stage = projected().await;
    let of_another = stage.end().await;
    stage.write_seat(&key, of_another, lie()).await;
    assert_eq!(stage.difference().await, of_seat(key, Finding::Extra { stored: of_another }));
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_skipped() {
    let stage = projected().await;
    let events = ScreenedEvents::hiding(&stage.events, &stage.all_events().await[0]);
    let report = audit::<Theatre, _, _, _>(&*events, &*stage.views, &*stage.views, 100).await.unwrap();
    let (expected, found) = (diptych_kernel::Version::new(1), diptych_kernel::Version::new(2));
    let skipped = Difference::VersionSkipped { stream_id: seat(0, 0), expected, found };
    assert!(report.differences.contains(&skipped), "{:#?}", report.differences);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_read_and_is_not_parked() {
    let stage = projected().await;
    let unknown = stage.store_unknown(&seat(1, 0)).await;
    for view in [SEATS, VISITS, HOUSES, GUESTS] {
        let progress = Progress { position: unknown[0].position, ..stage.progress(view, partition(1)).await };
        stage.views.save(&[ProgressUpdate { view, partition: partition(1), progress }]).await.unwrap();
    }
    let found = stage.difference().await;
    assert!(matches!(&found, Difference::Unreadable { view: None, .. }), "{found}");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_projected_yet_is_counted_and_no_difference() {
    let stage = projected().await;
    stage.happen(&[(&seat(0, 0), Event::reserved("zoe")), (&seat(2, 0), Event::reserved("zoe"))]).await;
    let report = stage.audit::<Theatre>().await;
    assert!(report.is_clean());
    assert_eq!((report.events, report.events_not_yet_projected), (6, 2));
}

#[tokio::test(start_paused = true)]
async fn all_differences_are_counted_and_the_first_are_told() {
    let stage = projected().await;
    let end = stage.end().await;
    for number in 0..30 {
        stage.write_seat(&RowKey::single(&format!("seat-none-{number}")), end.plus(1), lie()).await;
    }
    let report = audit::<Theatre, _, _, _>(&*stage.events, &*stage.views, &*stage.views, 3).await.unwrap();
    assert_eq!((report.differences_count, report.differences.len()), (30, 3));
}
