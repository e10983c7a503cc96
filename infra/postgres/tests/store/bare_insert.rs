//! The bare batched INSERT of benchmarks touches its own tables only.

use std::sync::Arc;

use diptych_kernel::ports::Remedy;
use diptych_postgres::BareInsertTables;

use crate::support::{
    Database,
    appends::{append_one, stream, unit},
    with_database,
};

const COUNT_OWN_TABLES: &str = "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'diptych_bench_%'";

async fn count(database: &Arc<Database>, statement: &str) -> i64 {
    database.row(statement, &[]).await.get(0)
}

#[test]
fn batches_like_the_newest_commits_go_to_tables_of_their_own_that_are_dropped() {
    with_database(|database| async move {
        let store = database.open().await;
        for version in 1..=3 {
            append_one(&store, &unit("bench-1", version)).await;
        }
        let product_rows = "SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM requests)";
        let before = count(&database, product_rows).await;
        let tables = BareInsertTables::create(database.config()).await.unwrap();
        assert!(tables.server_version().await.unwrap().contains('.'));
        let stream_ids = [stream("bench-1"), stream("bench-2")];
        let mut inserters = tables.inserters(&stream_ids, 3, 2).await.unwrap();
        for inserter in &mut inserters {
            assert_eq!(inserter.events_per_batch(), 1);
            for _ in 0..3 {
                inserter.insert_batch().await.unwrap();
            }
        }
        let same = "SELECT count(*) FROM diptych_bench_events AS bare JOIN diptych_bench_requests USING (request_id)
            WHERE (bare.event_type, bare.payload) = (SELECT event_type, payload FROM events WHERE version = 3)";
        assert_eq!(count(&database, same).await, 6);
        assert_eq!(count(&database, product_rows).await, before);
        tables.drop_tables().await.unwrap();
        assert_eq!(count(&database, COUNT_OWN_TABLES).await, 0);
    });
}

#[test]
fn tables_of_a_killed_run_are_replaced_and_those_of_a_running_one_are_not() {
    with_database(|database| async move {
        database.execute("CREATE TABLE diptych_bench_events (left_over integer)").await;
        let tables = BareInsertTables::create(database.config()).await.unwrap();
        let error = BareInsertTables::create(database.config()).await.err().unwrap();
        assert!(error.to_string().contains("another `diptych bench report`"), "{error}");
        tables.drop_tables().await.unwrap();
        BareInsertTables::create(database.config()).await.unwrap().drop_tables().await.unwrap();
    });
}

#[test]
fn a_database_that_the_measured_server_does_not_use_is_refused() {
    with_database(|database| async move {
        append_one(&database.open().await, &unit("other-1", 1)).await;
        let tables = BareInsertTables::create(database.config()).await.unwrap();
        let error = tables.inserters(&[stream("bench-1")], 1, 1).await.err().unwrap();
        assert_eq!(error.remedy(), Remedy::Operator);
        assert!(error.to_string().contains("not of the streams bench-1*"), "{error}");
        tables.drop_tables().await.unwrap();
        assert_eq!(count(&database, COUNT_OWN_TABLES).await, 0);
    });
}
