//! Rows by their keys.

use bytes::Bytes;

use super::{at, deleted, row, view};
use crate::{
    domain::{RowKey, ViewId},
    ports::{Row, RowWrite, ViewStore},
    testing::{TestEnv, support::Trial},
};

pub(super) async fn what_is_written_is_read_by_everybody<P: TestEnv<Handle: ViewStore>>(trial: &Trial<'_, P>) {
    let (mine, other) = (trial.env.handle().await, trial.env.handle().await);
    let table = view("rows_read");
    trial.ensure(&mine, &[table]).await;
    trial.ensure(&other, &[table, view("rows_more")]).await;
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
    trial.write(&mine, table, &writes).await;
    trial.ensure(&mine, &[table]).await;

    for store in [&mine, &other, &trial.env.handle().await] {
        let asked = [&keys[..], &[RowKey::single("never"), keys[0].clone(), RowKey::new("one", vec![0])]].concat();
        let mut expected: Vec<_> = rows.iter().cloned().map(Some).collect();
        expected.extend([None, Some(rows[0].clone()), None]);
        assert_eq!(trial.read(store, table, &asked).await, expected, "in the order of the keys");
        assert_eq!(trial.read(store, table, &[]).await, []);
    }
    // Nothing to write is no error.
    trial.write(&mine, table, &[]).await;
}

pub(super) async fn the_larger_position_wins_in_any_order<P: TestEnv<Handle: ViewStore>>(trial: &Trial<'_, P>) {
    let (store, table) = (trial.env.handle().await, view("rows_order"));
    trial.ensure(&store, &[table]).await;
    let orders = [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]];
    for newest_is_deleted in [false, true] {
        for order in orders {
            let row_at = |key: &RowKey, position: i64| {
                // One of the three deletes.
                if (position == 3) == newest_is_deleted && position > 1 {
                    deleted(position)
                } else {
                    row(key, position)
                }
            };
            let key = RowKey::single(&format!("{newest_is_deleted} {order:?}"));
            for position in order {
                trial.write(&store, table, &[(&key, row_at(&key, position))]).await;
            }
            assert_eq!(trial.read_one(&store, table, &key).await, Some(row_at(&key, 3)), "one by one: {order:?}");

            let key = RowKey::single(&format!("{newest_is_deleted} {order:?} at once"));
            let batch = order.map(|position| (&key, row_at(&key, position)));
            trial.write(&store, table, &batch).await;
            assert_eq!(trial.read_one(&store, table, &key).await, Some(row_at(&key, 3)), "at once: {order:?}");
        }
    }
}

pub(super) async fn the_same_row_again_changes_nothing<P: TestEnv<Handle: ViewStore>>(trial: &Trial<'_, P>) {
    let (mine, other) = (trial.env.handle().await, trial.env.handle().await);
    let (table, key) = (view("rows_again"), RowKey::single("again"));
    trial.ensure(&mine, &[table]).await;
    for store in [&mine, &other, &mine] {
        trial.write(store, table, &[(&key, row(&key, 5))]).await;
        assert_eq!(trial.read_one(&other, table, &key).await, Some(row(&key, 5)));
    }
}

pub(super) async fn a_deleted_row_keeps_its_position<P: TestEnv<Handle: ViewStore>>(trial: &Trial<'_, P>) {
    let (store, table) = (trial.env.handle().await, view("rows_deleted"));
    trial.ensure(&store, &[table]).await;
    let key = RowKey::single("deleted");
    trial.write(&store, table, &[(&key, row(&key, 5))]).await;
    trial.write(&store, table, &[(&key, deleted(7))]).await;
    trial.write(&store, table, &[(&key, row(&key, 6))]).await;
    assert_eq!(trial.read_one(&store, table, &key).await, Some(deleted(7)), "an older row came back");
    trial.write(&store, table, &[(&key, row(&key, 8))]).await;
    assert_eq!(trial.read_one(&store, table, &key).await, Some(row(&key, 8)), "a newer row is a new one");
    // Deleted before anybody wrote it.
    let key = RowKey::single("deleted first");
    trial.write(&store, table, &[(&key, deleted(7))]).await;
    trial.write(&store, table, &[(&key, row(&key, 6))]).await;
    assert_eq!(trial.read_one(&store, table, &key).await, Some(deleted(7)));
}

pub(super) async fn views_and_groups_are_apart<P: TestEnv<Handle: ViewStore>>(trial: &Trial<'_, P>) {
    let store = trial.env.handle().await;
    let tables = [view("apart"), ViewId { name: "apart", generation: 2 }, view("apart_too")];
    trial.ensure(&store, &tables).await;
    // The same bytes, cut elsewhere.
    let keys = [RowKey::new("a", &b"bc"[..]), RowKey::new("ab", &b"c"[..]), RowKey::single("abc")];
    let mut writes = Vec::new();
    for (number, table) in tables.iter().enumerate() {
        for (env, key) in keys.iter().enumerate() {
            let position = i64::try_from(10 * number + env + 1).unwrap();
            writes.push(RowWrite { view: *table, key: key.clone(), row: row(key, position) });
        }
    }
    trial.ask("write", async || store.write(&writes).await).await;
    for write in &writes {
        assert_eq!(trial.read_one(&store, write.view, &write.key).await.as_ref(), Some(&write.row));
    }
    for table in tables {
        assert_eq!(trial.scan_group(&store, table, "a", 10).await.len(), 1);
        assert_eq!(trial.scan_table(&store, table, 10).await.len(), 3);
    }
}
