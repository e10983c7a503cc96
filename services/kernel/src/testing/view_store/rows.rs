//! Reads and writes by key.

use bytes::Bytes;

use super::{at, deleted, row, view};
use crate::{
    domain::{RowKey, ViewId},
    ports::{Row, RowWrite, ViewStore},
    testing::{TestEnv, support::SuiteRun},
};

pub(super) async fn written_rows_are_read_through_every_handle<P: TestEnv<Handle: ViewStore>>(run: &SuiteRun<'_, P>) {
    let (mine, other) = (run.env.handle().await, run.env.handle().await);
    let table = view("rows_read");
    run.ensure(&mine, &[table]).await;
    run.ensure(&other, &[table, view("rows_more")]).await;
    let keys = [
        RowKey::single("one"),
        RowKey::new("one", vec![0, 0xff, 0x80]),
        RowKey::new("größer: 'quoted'; \"twice\"", &b"sort"[..]),
        RowKey::single(&"k".repeat(255)),
    ];
    let empty = Row { position: at(4), body: Some(Bytes::new()) };
    let binary = Row { position: at(i64::MAX), body: Some(Bytes::from_static(&[0, 0xff, 0xfe])) };
    let rows = [row(&keys[0], 1), deleted(2), empty, binary];
    let writes: Vec<_> = keys.iter().zip(rows.clone()).collect();
    run.write(&mine, table, &writes).await;
    run.ensure(&mine, &[table]).await;

    for store in [&mine, &other, &run.env.handle().await] {
        let requested = [&keys[..], &[RowKey::single("never"), keys[0].clone(), RowKey::new("one", vec![0])]].concat();
        let mut expected: Vec<_> = rows.iter().cloned().map(Some).collect();
        expected.extend([None, Some(rows[0].clone()), None]);
        assert_eq!(run.read(store, table, &requested).await, expected, "in the order of the keys");
        assert_eq!(run.read(store, table, &[]).await, []);
    }
    // An empty write is not an error.
    run.write(&mine, table, &[]).await;
}

pub(super) async fn the_larger_position_wins_in_any_order<P: TestEnv<Handle: ViewStore>>(run: &SuiteRun<'_, P>) {
    let (store, table) = (run.env.handle().await, view("rows_order"));
    run.ensure(&store, &[table]).await;
    let orders = [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]];
    for newest_is_deleted in [false, true] {
        for order in orders {
            let row_at = |key: &RowKey, position: i64| {
                // One of the three writes is a deletion.
                if (position == 3) == newest_is_deleted && position > 1 {
                    deleted(position)
                } else {
                    row(key, position)
                }
            };
            let key = RowKey::single(&format!("{newest_is_deleted} {order:?}"));
            for position in order {
                run.write(&store, table, &[(&key, row_at(&key, position))]).await;
            }
            assert_eq!(run.read_one(&store, table, &key).await, Some(row_at(&key, 3)), "in separate calls: {order:?}");

            let key = RowKey::single(&format!("{newest_is_deleted} {order:?} at once"));
            let batch = order.map(|position| (&key, row_at(&key, position)));
            run.write(&store, table, &batch).await;
            assert_eq!(run.read_one(&store, table, &key).await, Some(row_at(&key, 3)), "in one call: {order:?}");
        }
    }
}

pub(super) async fn the_same_row_again_changes_nothing<P: TestEnv<Handle: ViewStore>>(run: &SuiteRun<'_, P>) {
    let (mine, other) = (run.env.handle().await, run.env.handle().await);
    let (table, key) = (view("rows_again"), RowKey::single("again"));
    run.ensure(&mine, &[table]).await;
    for store in [&mine, &other, &mine] {
        run.write(store, table, &[(&key, row(&key, 5))]).await;
        assert_eq!(run.read_one(&other, table, &key).await, Some(row(&key, 5)));
    }
}

pub(super) async fn a_deleted_row_keeps_its_position<P: TestEnv<Handle: ViewStore>>(run: &SuiteRun<'_, P>) {
    let (store, table) = (run.env.handle().await, view("rows_deleted"));
    run.ensure(&store, &[table]).await;
    let key = RowKey::single("deleted");
    run.write(&store, table, &[(&key, row(&key, 5))]).await;
    run.write(&store, table, &[(&key, deleted(7))]).await;
    run.write(&store, table, &[(&key, row(&key, 6))]).await;
    assert_eq!(run.read_one(&store, table, &key).await, Some(deleted(7)), "an older row was restored");
    run.write(&store, table, &[(&key, row(&key, 8))]).await;
    assert_eq!(run.read_one(&store, table, &key).await, Some(row(&key, 8)), "a newer row replaces a deleted one");
    // The deletion arrives before any write.
    let key = RowKey::single("deleted first");
    run.write(&store, table, &[(&key, deleted(7))]).await;
    run.write(&store, table, &[(&key, row(&key, 6))]).await;
    assert_eq!(run.read_one(&store, table, &key).await, Some(deleted(7)));
}

pub(super) async fn views_and_groups_are_separate<P: TestEnv<Handle: ViewStore>>(run: &SuiteRun<'_, P>) {
    let store = run.env.handle().await;
    let tables = [view("apart"), ViewId { name: "apart", generation: 2 }, view("apart_too")];
    run.ensure(&store, &tables).await;
    // The same bytes, divided differently between partition key and sort key.
    let keys = [RowKey::new("a", &b"bc"[..]), RowKey::new("ab", &b"c"[..]), RowKey::single("abc")];
    let mut writes = Vec::new();
    for (number, table) in tables.iter().enumerate() {
        for (index, key) in keys.iter().enumerate() {
            let position = i64::try_from(10 * number + index + 1).unwrap();
            writes.push(RowWrite { view: *table, key: key.clone(), row: row(key, position) });
        }
    }
    run.retry("write", async || store.write(&writes).await).await;
    for write in &writes {
        assert_eq!(run.read_one(&store, write.view, &write.key).await.as_ref(), Some(&write.row));
    }
    for table in tables {
        assert_eq!(run.scan_group(&store, table, "a", 10).await.len(), 1);
        assert_eq!(run.scan_table(&store, table, 10).await.len(), 3);
    }
}
