//! Reads and checks of the read side.

use diptych_kernel::{
    Partition, StreamId, Version,
    domain::{Domain, RowKey, ViewId},
    ports::{CacheRead, Parked, Progress, ProgressStore, Row, ViewCache, ViewStore},
    testing::theatre::{GUESTS, HOUSES, HouseRow, SEATS, SeatRow, Theatre, VISITS, VisitRow, house_key},
};
use diptych_projector::audit::{AuditReport, audit};

use crate::harness::ProjectorHarness;

const ROWS_MAX: usize = 100_000;

impl ProjectorHarness {
    pub(crate) async fn row(&self, view: ViewId, key: &RowKey) -> Option<Row> {
        // A test may read before a projector has created the tables.
        self.views.ensure_views(&[view]).await.unwrap();
        self.views.read(view, std::slice::from_ref(key)).await.unwrap().remove(0)
    }

    pub(crate) async fn seat_row(&self, seat: &StreamId) -> Option<SeatRow> {
        let row = self.row(SEATS, &RowKey::single(seat.as_str())).await?;
        Some(SeatRow::decode(&row.body.unwrap()).unwrap())
    }

    /// The version and the guest of a seat; `None` where it has no row.
    pub(crate) async fn seat(&self, seat: &StreamId) -> Option<(u32, Option<String>)> {
        self.seat_row(seat).await.map(|row| (row.version.number(), row.guest))
    }

    /// The numbers of taken seats and of events.
    pub(crate) async fn house(&self, partition: Partition) -> (u32, u32) {
        let body = self.row(HOUSES, &house_key(partition)).await.and_then(|row| row.body);
        let house = body.map(|body| HouseRow::decode(&body).unwrap()).unwrap_or_default();
        (house.seats_taken, house.events_count)
    }

    /// The versions of the visits of a seat, newest first.
    pub(crate) async fn visits(&self, seat: &StreamId) -> Vec<Version> {
        let page = self.views.scan(VISITS, seat.as_str(), None, ROWS_MAX).await.unwrap();
        page.rows.iter().map(|(_, row)| VisitRow::decode(row.body.as_ref().unwrap()).unwrap().version).collect()
    }

    /// The seats of a guest.
    pub(crate) async fn seats_of(&self, guest: &str) -> Vec<String> {
        let page = self.views.scan(GUESTS, guest, None, ROWS_MAX).await.unwrap();
        page.rows.iter().map(|(key, _)| String::from_utf8(key.to_vec()).unwrap()).collect()
    }

    pub(crate) async fn progress(&self, view: ViewId, partition: Partition) -> Progress {
        let all = self.views.load(&[view]).await.unwrap();
        all.into_iter().find(|update| update.partition == partition).map(|update| update.progress).unwrap_or_default()
    }

    /// The streams parked in a view, with the version of the first event that is not in it.
    pub(crate) async fn parked(&self, view: ViewId, partition: Partition) -> Vec<(StreamId, u32)> {
        let parked = self.progress(view, partition).await.parked;
        parked.into_iter().map(|Parked { stream_id, version, .. }| (stream_id, version.number())).collect()
    }

    pub(crate) async fn audit<D: Domain>(&self) -> AuditReport {
        audit::<D, _, _, _>(&*self.events, &*self.views, &*self.views, 20).await.unwrap()
    }

    /// Asserts that the rows contain exactly the stored events, and that the cache contains no wrong row.
    pub(crate) async fn assert_views_correct(&self) {
        self.assert_views_correct_in::<Theatre>().await;
    }

    pub(crate) async fn assert_views_correct_in<D: Domain>(&self) {
        let report = self.audit::<D>().await;
        let differences: Vec<String> = report.differences.iter().map(ToString::to_string).collect();
        assert!(report.is_clean(), "{differences:#?}, parked: {:#?}", report.parked);
        assert_eq!(report.events_not_yet_projected, 0, "events are not projected yet");
        assert_eq!(report.events, u64::try_from(self.all_events().await.len()).unwrap());
        for (view, count) in &report.views {
            assert_eq!(count.rows_stored, count.rows_expected, "rows of {view}");
        }
        self.assert_cache_correct::<D>().await;
    }

    /// Asserts that all rows are correct up to their progress, where streams may be parked.
    pub(crate) async fn assert_no_difference(&self) -> AuditReport {
        let report = self.audit::<Theatre>().await;
        let differences: Vec<String> = report.differences.iter().map(ToString::to_string).collect();
        assert_eq!(report.differences_count, 0, "{differences:#?}");
        self.assert_cache_correct::<Theatre>().await;
        report
    }

    /// Asserts that each cached row is the stored one, or has an `current_up_to` that shows that it is older.
    async fn assert_cache_correct<D: Domain>(&self) {
        for view in D::views() {
            for (key, stored) in self.views.scan_all(view.id(), None, ROWS_MAX).await.unwrap() {
                let read = self.cache.read(view.id(), std::slice::from_ref(&key)).await.unwrap().remove(0);
                let CacheRead::Hit(cached) = read else { continue };
                let is_same = cached.position == stored.position && cached.body == stored.body;
                assert!(
                    is_same || cached.current_up_to < stored.position,
                    "{}, {key:?}: {cached:?}, {stored:?}",
                    view.id()
                );
            }
        }
    }
}
