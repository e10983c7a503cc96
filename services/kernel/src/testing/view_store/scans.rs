//! Scans of groups and tables.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{deleted, row, view};
use crate::{
    domain::RowKey,
    ports::{Row, ViewStore},
    testing::{TestEnv, support::SuiteRun},
};

pub(super) async fn a_group_is_scanned_in_the_order_of_bytes<P: TestEnv<Handle: ViewStore>>(run: &SuiteRun<'_, P>) {
    let (writer, reader) = (run.env.handle().await, run.env.handle().await);
    let table = view("scan_order");
    run.ensure(&writer, &[table]).await;
    let sort_keys: [&[u8]; 9] = [b"", b"\0", b"\0\0", b"\x01", b"A", b"a", b"ab", b"\x80", b"\xff\xff"];
    let keys: Vec<_> = sort_keys.iter().map(|sort_key| RowKey::new("group", Bytes::from_static(sort_key))).collect();
    let neighbours = [RowKey::single("grou"), RowKey::single("group2"), RowKey::single("Group")];
    let mut writes: Vec<_> = keys.iter().chain(&neighbours).map(|key| (key, row(key, 1))).collect();
    writes.reverse();
    run.write(&writer, table, &writes).await;

    let expected: Vec<_> = keys.iter().map(|key| (key.sort_key.clone(), row(key, 1))).collect();
    for limit in [1, 2, 3, 8, 9, 10, 100] {
        assert_eq!(run.scan_group(&reader, table, "group", limit).await, expected, "with limit {limit}");
    }
    let page = run.scan(&reader, table, "group", None, 9).await;
    assert!(!page.more, "a page that ends with the group reports more rows");
    assert!(run.scan(&reader, table, "group", None, 8).await.more);
    // After a sort key that has no row.
    let page = run.scan(&reader, table, "group", Some(b"aa"), 100).await;
    assert_eq!(page.rows, expected[6..]);
    assert_eq!(run.scan(&reader, table, "group", Some(b""), 100).await.rows, expected[1..]);
    assert_eq!(run.scan(&reader, table, "group", Some(b"\xff\xff"), 100).await.rows, []);
    assert_eq!(run.scan(&reader, table, "no_such_group", None, 100).await.rows, []);
}

pub(super) async fn deleted_rows_are_left_out_of_pages<P: TestEnv<Handle: ViewStore>>(run: &SuiteRun<'_, P>) {
    let (store, table) = (run.env.handle().await, view("scan_deleted"));
    run.ensure(&store, &[table]).await;
    let keys: Vec<_> = (0..20_u8).map(|number| RowKey::new("group", vec![number])).collect();
    let writes: Vec<_> = keys.iter().map(|key| (key, row(key, 1))).collect();
    run.write(&store, table, &writes).await;
    // More consecutive deleted rows than a page holds, and deleted rows at the end of the group.
    let is_deleted = |number: usize| (3..9).contains(&number) || number >= 17;
    let deletes: Vec<_> = keys.iter().enumerate().filter(|(number, _)| is_deleted(*number)).collect();
    run.write(&store, table, &deletes.iter().map(|(_, key)| (*key, deleted(2))).collect::<Vec<_>>()).await;

    let expected: Vec<_> = keys
        .iter()
        .enumerate()
        .filter(|(number, _)| !is_deleted(*number))
        .map(|(_, key)| (key.sort_key.clone(), row(key, 1)))
        .collect();
    for limit in [1, 3, 4, 11, 100] {
        assert_eq!(run.scan_group(&store, table, "group", limit).await, expected, "with limit {limit}");
    }
    let page = run.scan(&store, table, "group", None, 11).await;
    assert!(!page.more, "deleted rows count as more rows");
}

pub(super) async fn scan_all_returns_every_row<P: TestEnv<Handle: ViewStore>>(run: &SuiteRun<'_, P>) {
    let (store, table) = (run.env.handle().await, view("scan_audit"));
    run.ensure(&store, &[table]).await;
    assert_eq!(run.scan_table(&store, table, 5).await, [], "an empty table has no rows");
    let mut rows = BTreeMap::<RowKey, Row>::new();
    for group in ["a", "ab", "b", "\u{10ffff}"] {
        for number in [0, 1, 0x80, 0xff_u8] {
            let key = RowKey::new(group, vec![number]);
            let row = if number == 1 { deleted(3) } else { row(&key, 2) };
            rows.insert(key, row);
        }
        let key = RowKey::single(group);
        rows.insert(key.clone(), row(&key, 1));
    }
    run.write(&store, table, &rows.iter().map(|(key, row)| (key, row.clone())).collect::<Vec<_>>()).await;
    let first = run.scan_table(&store, table, 7).await;
    assert_eq!(first.len(), rows.len(), "each row is returned once");
    assert_eq!(first.iter().cloned().collect::<BTreeMap<_, _>>(), rows);
    for limit in [1, 5, 100] {
        assert_eq!(run.scan_table(&store, table, limit).await, first, "the order must not change");
    }
}
