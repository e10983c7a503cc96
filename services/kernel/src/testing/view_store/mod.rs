//! The suite of [`ViewStore`].

mod crash;
mod random;
mod rows;
mod scans;

use bytes::Bytes;

use super::{TestEnv, support::Trial};
use crate::{
    domain::{RowKey, ViewId},
    ports::{ProgressStore, Row, RowWrite, ScanPage, ViewStore},
    vocabulary::Position,
};

/// Checks every sentence of the contract of [`ViewStore`] on a fresh place, random operations against a model among it.
///
/// # Panics
/// When the adapter breaks the contract.
pub async fn suite<P: TestEnv<Handle: ViewStore + ProgressStore>>(env: &P, seed: u64) {
    let trial = &Trial::new(env, seed);
    rows::what_is_written_is_read_by_everybody(trial).await;
    rows::the_larger_position_wins_in_any_order(trial).await;
    rows::the_same_row_again_changes_nothing(trial).await;
    rows::a_deleted_row_keeps_its_position(trial).await;
    rows::views_and_groups_are_apart(trial).await;
    scans::a_group_is_scanned_in_the_order_of_bytes(trial).await;
    scans::deleted_rows_are_left_out_of_pages(trial).await;
    scans::the_audit_sees_every_row(trial).await;
    crash::progress_never_promises_what_is_not_there(trial).await;
    random::random_writes_agree_with_a_model(trial).await;
}

fn view(name: &'static str) -> ViewId {
    ViewId { name, generation: 1 }
}

fn at(position: i64) -> Position {
    Position::from_i64(position).unwrap()
}

/// The row of a key at a position: always the same one.
fn row(key: &RowKey, position: i64) -> Row {
    Row { position: at(position), body: Some(Bytes::from(format!("{key:?} at {position}"))) }
}

fn deleted(position: i64) -> Row {
    Row { position: at(position), body: None }
}

impl<P: TestEnv<Handle: ViewStore>> Trial<'_, P> {
    async fn ensure(&self, store: &P::Handle, views: &[ViewId]) {
        self.ask("ensure_views", async || store.ensure_views(views).await).await;
    }

    /// Writes rows, as a projector has to: until they are acknowledged.
    async fn write(&self, store: &P::Handle, view: ViewId, rows: &[(&RowKey, Row)]) {
        let rows: Vec<_> =
            rows.iter().map(|(key, row)| RowWrite { view, key: (*key).clone(), row: row.clone() }).collect();
        self.ask("write", async || store.write(&rows).await).await;
    }

    async fn read(&self, store: &P::Handle, view: ViewId, keys: &[RowKey]) -> Vec<Option<Row>> {
        let rows = self.ask("read", async || store.read(view, keys).await).await;
        assert_eq!(rows.len(), keys.len(), "one answer per key");
        rows
    }

    async fn read_one(&self, store: &P::Handle, view: ViewId, key: &RowKey) -> Option<Row> {
        self.read(store, view, std::slice::from_ref(key)).await.remove(0)
    }

    async fn scan(&self, store: &P::Handle, view: ViewId, group: &str, after: Option<&[u8]>, limit: usize) -> ScanPage {
        let page = self.ask("scan", async || store.scan(view, group, after, limit).await).await;
        assert!(page.rows.len() <= limit, "{} rows are more than {limit}", page.rows.len());
        page
    }

    /// A whole group, page by page.
    async fn scan_group(&self, store: &P::Handle, view: ViewId, group: &str, limit: usize) -> Vec<(Bytes, Row)> {
        let (mut rows, mut after) = (Vec::new(), None::<Bytes>);
        loop {
            let page = self.scan(store, view, group, after.as_deref(), limit).await;
            let Some(last) = page.rows.last() else {
                assert!(!page.more, "there is more, and it does not come");
                return rows;
            };
            after = Some(last.0.clone());
            rows.extend(page.rows);
            if !page.more {
                let after = self.scan(store, view, group, after.as_deref(), limit).await;
                assert!(after.rows.is_empty(), "there was more than the page said");
                return rows;
            }
        }
    }

    /// A whole table, piece by piece.
    async fn scan_table(&self, store: &P::Handle, view: ViewId, limit: usize) -> Vec<(RowKey, Row)> {
        let (mut rows, mut after) = (Vec::new(), None::<RowKey>);
        loop {
            let piece = self.ask("scan_all", async || store.scan_all(view, after.as_ref(), limit).await).await;
            assert!(piece.len() <= limit, "{} rows are more than {limit}", piece.len());
            let Some(last) = piece.last() else { return rows };
            after = Some(last.0.clone());
            rows.extend(piece);
        }
    }
}
