//! Order in which the rows of a batch appear.

use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join;

use super::{row, view};
use crate::{
    domain::RowKey,
    ports::{Row, ViewStore},
    testing::{TestEnv, support::SuiteRun, yield_now},
};

/// The number of rows in the batch: more than a store may write at once.
const ROWS: u16 = 300;

pub(super) async fn rows_of_a_group_appear_oldest_first<P: TestEnv<Handle: ViewStore>>(run: &SuiteRun<'_, P>) {
    let (writer, reader) = (run.env.handle().await, run.env.handle().await);
    let table = view("write_order");
    run.ensure(&writer, &[table]).await;
    // As in a statement: newer rows have smaller sort keys.
    let keyed = |number: u16| (RowKey::new("group", (u16::MAX - number).to_be_bytes().to_vec()), i64::from(number) + 1);
    let newest_first: Vec<_> = (0..ROWS).rev().map(keyed).collect();
    let writes: Vec<(&RowKey, Row)> = newest_first.iter().map(|(key, at)| (key, row(key, *at))).collect();
    let is_written = AtomicBool::new(false);
    let write = async {
        run.write(&writer, table, &writes).await;
        is_written.store(true, Ordering::SeqCst);
    };
    let scan_meanwhile = async {
        loop {
            let is_last = is_written.load(Ordering::SeqCst);
            let page = run.scan(&reader, table, "group", None, usize::from(ROWS)).await;
            let found: Vec<_> = page.rows.iter().map(|(_, row)| row.position).collect();
            let oldest = writes.iter().skip(writes.len() - found.len()).map(|(_, row)| row.position);
            assert!(
                oldest.eq(found.iter().copied()),
                "a scan found {} of {ROWS} rows, which are not the oldest: {found:?}",
                found.len()
            );
            if is_last {
                assert_eq!(found.len(), writes.len());
                return;
            }
            yield_now().await;
        }
    };
    join(write, scan_meanwhile).await;
}
