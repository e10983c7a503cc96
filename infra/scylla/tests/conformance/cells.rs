//! The contents of cells, and the limits of keys and bodies.

use bytes::Bytes;
use diptych_kernel::{
    domain::RowKey,
    ports::{Effect, PortError, Remedy, ViewStore},
    testing::TestEnv,
};
use futures::future::join_all;

use crate::test_env::{RawSession, ScyllaTestEnv, at, view, write};

#[tokio::test]
async fn cells_and_tables() {
    let Some(env) = ScyllaTestEnv::new().await else { return };
    every_cell_has_the_timestamp_of_its_position(&env).await;
    large_bodies_are_stored_and_too_large_ones_refused(&env).await;
    keys_may_be_any_text_and_any_bytes(&env).await;
    tables_are_created_once(&env).await;
    permanent_errors_are_for_the_operator(&env).await;
    env.remove().await;
}

/// Reads the cells as the server stores them: every cell has a value and the timestamp of the position, and nothing
/// expires.
async fn every_cell_has_the_timestamp_of_its_position(env: &ScyllaTestEnv) {
    let (store, table) = (env.handle().await, view("cells"));
    store.ensure_views(&[table]).await.unwrap();
    let keys = ["alone", "deleted", "again", "group"].map(RowKey::single);
    let in_group = RowKey::new("group", &b"2"[..]);
    let writes = [
        write(table, &keys[0], 0, Some(b"")),
        write(table, &keys[1], 1, Some(b"body")),
        write(table, &keys[2], (5 << 20) | 3, None),
        write(table, &keys[3], i64::MAX, Some(b"in a batch")),
        write(table, &in_group, 77, None),
    ];
    store.write(&writes).await.unwrap();
    store.write(&[write(table, &keys[1], 2, None), write(table, &keys[2], 6 << 20, Some(b"again"))]).await.unwrap();

    type Cells = (String, Option<i64>, Option<bool>, Option<Bytes>, (i64, i64, i64), (Option<i32>, Option<i32>));
    type Flat = (String, Option<i64>, Option<bool>, Option<Bytes>, i64, i64, i64, Option<i32>, Option<i32>);
    let select =
        "SELECT partition_key, position, is_deleted, body, WRITETIME(position), WRITETIME(is_deleted), WRITETIME(body),
                  TTL(position), TTL(body) FROM cells_g1";
    let rows: Vec<Flat> = RawSession::in_keyspace(&env.config).await.rows(select).await;
    let rows: Vec<Cells> =
        rows.into_iter().map(|(a, b, c, d, e, f, g, h, i)| (a, b, c, d, (e, f, g), (h, i))).collect();
    assert_eq!(rows.len(), 5);
    for (key, position, is_deleted, body, written, ttl) in rows {
        let (position, is_deleted, body) = (position.unwrap(), is_deleted.unwrap(), body.unwrap());
        let timestamp = position - (1 << 62);
        assert_eq!(written, (timestamp, timestamp, timestamp), "{key} at {position}");
        assert_eq!(ttl, (None, None), "{key} at {position}");
        assert!(!is_deleted || body.is_empty(), "{key} at {position} is deleted and has a body");
    }
}

async fn large_bodies_are_stored_and_too_large_ones_refused(env: &ScyllaTestEnv) {
    let (store, table) = (env.handle().await, view("large"));
    store.ensure_views(&[table]).await.unwrap();
    // Together they exceed the limit of a server for one request, so they must be sent separately.
    let body = |number: u8| vec![number; 700 * 1024];
    let keys: Vec<_> = (0..8_u8).map(|number| RowKey::new("group", vec![number])).collect();
    let writes: Vec<_> = (0..).zip(&keys).map(|(number, key)| write(table, key, 1, Some(&body(number)))).collect();
    store.write(&writes).await.unwrap();
    let read = store.read(table, &keys).await.unwrap();
    for (write, row) in writes.iter().zip(read) {
        assert!(row.as_ref() == Some(&write.row), "another body was read");
    }
    let page = store.scan(table, "group", None, 5).await.unwrap();
    assert!(page.more && page.rows.len() == 5 && page.rows[4].1 == writes[4].row);

    // The test server accepts 4 MiB per request. ScyllaDB accepts more, and then the body must be stored.
    let key = RowKey::single("too large");
    let error = store.write(&[write(table, &key, 1, Some(&vec![0; 6 * 1024 * 1024]))]).await;
    let found = store.read(table, std::slice::from_ref(&key)).await.unwrap();
    match error {
        Ok(()) => assert!(found[0].is_some()),
        Err(error) => assert!(error.remedy() == Remedy::Operator && found[0].is_none(), "{error}"),
    }
    store.write(&[write(table, &key, 2, Some(b"small"))]).await.unwrap();
    assert_eq!(store.read(table, &[key]).await.unwrap()[0].as_ref().unwrap().position, at(2));
}

async fn keys_may_be_any_text_and_any_bytes(env: &ScyllaTestEnv) {
    let (store, table) = (env.handle().await, view("keys"));
    store.ensure_views(&[table]).await.unwrap();
    let groups =
        ["\0", "\u{10ffff}", "größer", "e\u{301}", "é", "🦀 \u{200d} \"'; --", &"ü".repeat(127), &"k".repeat(255)];
    let sort_keys = [vec![], vec![0], vec![0, 0], vec![0xff; 255], (0..=254).collect()];
    let keys: Vec<_> =
        groups.iter().flat_map(|group| sort_keys.iter().map(|sort_key| RowKey::new(group, sort_key.clone()))).collect();
    let writes: Vec<_> =
        (1..).zip(&keys).map(|(number, key)| write(table, key, number, Some(format!("{key:?}").as_bytes()))).collect();
    store.write(&writes).await.unwrap();
    let expected: Vec<_> = writes.iter().map(|write| Some(write.row.clone())).collect();
    assert_eq!(store.read(table, &keys).await.unwrap(), expected);
    for group in groups {
        assert_eq!(store.scan(table, group, None, 10).await.unwrap().rows.len(), sort_keys.len(), "{group}");
    }
}

/// Several handles create the same tables at once, and each table is created once.
async fn tables_are_created_once(env: &ScyllaTestEnv) {
    let (one, other, third) = (env.handle().await, env.handle().await, env.handle().await);
    let views = ["created_a", "created_b", "created_c"].map(view);
    let all = [&views[..], &views[1..], &[views[2], views[0], views[2]], &views[..2]];
    let handles = [&one, &other, &third, &one];
    let created = join_all(handles.into_iter().zip(all).map(|(handle, views)| handle.ensure_views(views))).await;
    assert!(created.iter().all(Result::is_ok), "{created:?}");
    for (number, view) in (1..).zip(views) {
        let key = RowKey::single("key");
        one.write(&[write(view, &key, number, Some(b"body"))]).await.unwrap();
        for handle in [&other, &third] {
            let rows = handle.read(view, std::slice::from_ref(&key)).await.unwrap();
            assert_eq!(rows[0].as_ref().unwrap().position, at(number));
        }
    }
}

async fn permanent_errors_are_for_the_operator(env: &ScyllaTestEnv) {
    let (store, missing) = (env.handle().await, view("missing"));
    let key = RowKey::single("key");
    let is_for_operator = |error: &PortError| (error.effect(), error.remedy()) == (Effect::None, Remedy::Operator);
    let error = store.write(&[write(missing, &key, 1, None)]).await.unwrap_err();
    assert!(is_for_operator(&error), "{error}");
    let error = store.read(missing, std::slice::from_ref(&key)).await.unwrap_err();
    assert!(is_for_operator(&error), "{error}");
    let error = store.ensure_views(&[view("robert'; DROP TABLE")]).await.unwrap_err();
    assert!(is_for_operator(&error) && error.to_string().contains("lower-case"), "{error}");

    // A manual write without some of the cells.
    let table = view("garbled");
    store.ensure_views(&[table]).await.unwrap();
    let session = RawSession::in_keyspace(&env.config).await;
    session.run("INSERT INTO garbled_g1 (partition_key, sort_key, position) VALUES ('key', 0x, 5)").await;
    let error = store.read(table, &[key]).await.unwrap_err();
    assert!(is_for_operator(&error) && error.to_string().contains("garbled_g1"), "{error}");
}
