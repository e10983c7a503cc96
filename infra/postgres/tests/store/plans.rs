//! Plans of statements, which are kept for as long as a connection is.

use crate::support::with_database;

const STATEMENTS: [(&str, &str); 7] = [
    ("append", include_str!("../../queries/append.sql")),
    ("refuse", include_str!("../../queries/refuse.sql")),
    ("load", include_str!("../../queries/load.sql")),
    ("rejection_reasons", include_str!("../../queries/rejection_reasons.sql")),
    ("read_after", include_str!("../../queries/read_after.sql")),
    ("read_partition_after", include_str!("../../queries/read_partition_after.sql")),
    ("read_stream_after", include_str!("../../queries/read_stream_after.sql")),
];

/// A plan that reads all of a table while it is small would do so when it is large, too.
#[test]
fn every_look_up_in_a_table_that_was_analyzed_while_empty_uses_the_keys_of_an_index() {
    with_database(|database| async move {
        let client = database.connect().await;
        client.batch_execute("VACUUM ANALYZE").await.unwrap();
        client.batch_execute(include_str!("../../queries/schema/session.sql")).await.unwrap();
        for (name, statement) in STATEMENTS {
            let prepared = client.prepare(statement).await.unwrap();
            let arguments = vec!["NULL"; prepared.params().len()].join(", ");
            client.batch_execute(&format!("PREPARE {name} AS {statement}")).await.unwrap();
            let plan = client.query(&format!("EXPLAIN EXECUTE {name} ({arguments})"), &[]).await.unwrap();
            let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
            for (line, next) in plan.iter().zip(plan.iter().skip(1)) {
                let is_bounded = !line.contains(" Scan using ") || next.contains("Index Cond:");
                let is_whole = line.contains("Seq Scan on ") && !line.contains("Seq Scan on installation");
                assert!(is_bounded && !is_whole, "{name}: {line}\n{}", plan.join("\n"));
            }
        }
    });
}
