//! Conformance suite of [`ViewStore`].

mod crash;
mod order;
mod random;
mod rows;
mod scans;

use bytes::Bytes;

use super::{TestEnv, support::SuiteRun};
use crate::{
    domain::{RowKey, ViewId},
    ports::{ProgressStore, Row, RowWrite, ScanPage, ViewStore},
    vocabulary::Position,
};

/// Checks every rule of the contract of [`ViewStore`] on a fresh database, including random operations against a model.
///
/// # Panics
/// If the adapter breaks the contract.
pub async fn suite<P: TestEnv<Handle: ViewStore + ProgressStore>>(env: &P, seed: u64) {
    let run = &SuiteRun::new(env, seed);
    rows::written_rows_are_read_through_every_handle(run).await;
    rows::the_larger_position_wins_in_any_order(run).await;
    rows::the_same_row_again_changes_nothing(run).await;
    rows::a_deleted_row_keeps_its_position(run).await;
    rows::views_and_groups_are_separate(run).await;
    scans::a_group_is_scanned_in_the_order_of_bytes(run).await;
    scans::deleted_rows_are_left_out_of_pages(run).await;
    scans::scan_all_returns_every_row(run).await;
    order::rows_of_a_group_appear_oldest_first(run).await;
    crash::progress_never_exceeds_the_stored_rows(run).await;
    random::random_writes_agree_with_a_model(run).await;
}

fn view(name: &'static str) -> ViewId {
    ViewId { name, generation: 1 }
}

fn at(position: i64) -> Position {
    Position::from_i64(position).unwrap()
}

/// The row of a key at a position. Deterministic.
fn row(key: &RowKey, position: i64) -> Row {
    Row { position: at(position), body: Some(Bytes::from(format!("{key:?} at {position}"))) }
}

fn deleted(position: i64) -> Row {
    Row { position: at(position), body: None }
}

impl<P: TestEnv<Handle: ViewStore>> SuiteRun<'_, P> {
    async fn ensure(&self, store: &P::Handle, views: &[ViewId]) {
        self.retry("ensure_views", async || store.ensure_views(views).await).await;
    }

    /// Writes rows as a projector does: repeats the write until it is acknowledged.
    async fn write(&self, store: &P::Handle, view: ViewId, rows: &[(&RowKey, Row)]) {
        let rows: Vec<_> =
            rows.iter().map(|(key, row)| RowWrite { view, key: (*key).clone(), row: row.clone() }).collect();
        self.retry("write", async || store.write(&rows).await).await;
    }

    async fn read(&self, store: &P::Handle, view: ViewId, keys: &[RowKey]) -> Vec<Option<Row>> {
        let rows = self.retry("read", async || store.read(view, keys).await).await;
        assert_eq!(rows.len(), keys.len(), "one result per key");
        rows
    }

    async fn read_one(&self, store: &P::Handle, view: ViewId, key: &RowKey) -> Option<Row> {
        self.read(store, view, std::slice::from_ref(key)).await.remove(0)
    }

    async fn scan(&self, store: &P::Handle, view: ViewId, group: &str, after: Option<&[u8]>, limit: usize) -> ScanPage {
        let page = self.retry("scan", async || store.scan(view, group, after, limit).await).await;
        assert!(page.rows.len() <= limit, "{} rows are more than {limit}", page.rows.len());
        page
    }

    /// Scans a whole group page by page.
    async fn scan_group(&self, store: &P::Handle, view: ViewId, group: &str, limit: usize) -> Vec<(Bytes, Row)> {
        let (mut rows, mut after) = (Vec::new(), None::<Bytes>);
        loop {
            let page = self.scan(store, view, group, after.as_deref(), limit).await;
            let Some(last) = page.rows.last() else {
                assert!(!page.more, "an empty page reports more rows");
                return rows;
            };
            after = Some(last.0.clone());
            rows.extend(page.rows);
            if !page.more {
                let after = self.scan(store, view, group, after.as_deref(), limit).await;
                assert!(after.rows.is_empty(), "the group has more rows than the last page reported");
                return rows;
            }
        }
    }

    /// Scans a whole table page by page.
    async fn scan_table(&self, store: &P::Handle, view: ViewId, limit: usize) -> Vec<(RowKey, Row)> {
        let (mut rows, mut after) = (Vec::new(), None::<RowKey>);
        loop {
            let page = self.retry("scan_all", async || store.scan_all(view, after.as_ref(), limit).await).await;
            assert!(page.len() <= limit, "{} rows are more than {limit}", page.len());
            let Some(last) = page.last() else { return rows };
            after = Some(last.0.clone());
            rows.extend(page);
        }
    }
}
