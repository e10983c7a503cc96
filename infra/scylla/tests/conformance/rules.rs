//! Checks of the CQL statements of this crate, for rules that no server enforces.
//!
//! The tables of rows and of progress are written with timestamps made from positions. A single statement without a
//! timestamp writes with the present time, which is larger than all of them, and its cell can never be replaced again.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The files of a folder and its subfolders, with their contents.
fn files(folder: &str, extension: &str) -> Vec<(PathBuf, String)> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                files.push((path.clone(), fs::read_to_string(path).unwrap()));
            }
        }
    }
    assert!(!files.is_empty(), "no .{extension} in {folder}");
    files
}

/// Splits a file into statements, in upper case and without comments.
fn statements(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.split_once("--").map_or(line, |(before, _)| before));
    let text = lines.collect::<Vec<_>>().join(" ").to_uppercase();
    let words = |statement: &str| statement.split_whitespace().collect::<Vec<_>>().join(" ");
    text.split(';').map(words).filter(|statement| !statement.is_empty()).collect()
}

/// The rule that a statement on the tables of rows or of progress violates.
fn violation(statement: &str) -> Option<&'static str> {
    let has = |text: &str| format!(" {statement} ").contains(text);
    let begins = |verb: &str| statement.starts_with(verb);
    if begins("SELECT ") {
        return None;
    }
    if begins("CREATE TABLE ") || begins("ALTER TABLE ") {
        let loose_collection = ["LIST<", "SET<", "MAP<"]
            .iter()
            .any(|kind| statement.match_indices(kind).any(|(at, _)| !statement[..at].ends_with("FROZEN<")));
        return match () {
            () if has("COUNTER") => Some("has a counter"),
            () if loose_collection => Some("has a collection of several cells"),
            () if has("DEFAULT_TIME_TO_LIVE") => Some("expires"),
            () if has("TIMEWINDOW") => Some("drops rows by their timestamps, which are no times"),
            () if has("CDC") => Some("has a change log, which uses times"),
            () if begins("ALTER") && has(" DROP ") && !has(" USING TIMESTAMP ") => {
                Some("drops a column with the present as its timestamp")
            }
            () => None,
        };
    }
    match () {
        () if !begins("INSERT ") && !begins("UPDATE ") => Some("deletes, or is no insert or update"),
        () if !has(" USING TIMESTAMP ?") => Some("is written with the present as its timestamp"),
        () if has(" IF ") => Some("is conditional"),
        () if has(" TTL ") => Some("expires"),
        () if has(" NULL") => Some("writes a tombstone"),
        () if has(" JSON ") || has(" + ") || has("] =") => Some("may write fewer cells than it names"),
        () => None,
    }
}

/// All statements on rows and progress. The tables of the lock and of migrations are others, and have normal
/// timestamps.
#[test]
fn every_write_has_a_timestamp() {
    let mut writes = 0;
    for folder in ["queries/rows", "queries/progress", "migrations"] {
        for (path, text) in files(folder, "cql") {
            for statement in statements(&text) {
                assert_eq!(violation(&statement), None, "{}: {statement}", path.display());
                writes += usize::from(statement.contains("USING TIMESTAMP"));
            }
        }
    }
    assert_eq!(writes, 2, "one for rows, and one for progress");
}

/// A row is the result of a single write only if every write sets every cell.
#[test]
fn rows_are_written_whole() {
    let text = |path: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let between = |text: &str, open: &str| {
        let (_, after) = text.split_once(open).unwrap();
        after.split_once(')').unwrap().0.to_owned()
    };
    let created = statements(&text("queries/rows/create_table.cql")).remove(0);
    let (columns, _) = created.split_once('(').unwrap().1.split_once("PRIMARY KEY").unwrap();
    let columns: Vec<_> = columns.split(',').filter_map(|column| column.split_whitespace().next()).collect();
    let written = between(&statements(&text("queries/rows/write.cql")).remove(0), "(");
    assert_eq!(written.split(',').map(str::trim).collect::<Vec<_>>(), columns);
}

/// The statements on the lock and on migrations do not use the tables of rows or of progress.
#[test]
fn schema_statements_use_other_tables() {
    for (path, text) in files("queries/schema", "cql") {
        for statement in statements(&text) {
            assert!(!statement.contains("{TABLE}") && !statement.contains("PROGRESS"), "{}", path.display());
        }
    }
}

/// All statements are in files, where the tests above check them.
#[test]
fn no_statement_is_in_code() {
    for (path, text) in files("src", "rs") {
        let code = text.split_once("#[cfg(test)]").map_or(&*text, |(before, _)| before);
        let code = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        for verb in ["INSERT INTO", "UPDATE ", "DELETE ", "BEGIN ", "TRUNCATE", "SELECT ", "CREATE ", "ALTER ", "DROP "]
        {
            assert!(!code.contains(verb), "{} has a statement with {verb}", path.display());
        }
    }
}

/// The checks above detect what they are for.
#[test]
fn violations_are_detected() {
    let invalid = [
        "INSERT INTO {table} (partition_key, sort_key, position) VALUES (?, ?, ?)",
        "DELETE FROM {table} USING TIMESTAMP ? WHERE partition_key = ?",
        "UPDATE progress SET position = ? WHERE bucket = 0",
        "update progress using timestamp ? set position = ? where bucket = 0 if position < ?",
        "INSERT INTO {table} (partition_key, sort_key, body) VALUES (?, ?, ?) USING TIMESTAMP ? AND TTL 5",
        "UPDATE progress USING TIMESTAMP ? SET parked = null WHERE bucket = 0",
        "TRUNCATE progress",
        "BEGIN BATCH INSERT INTO {table} (a) VALUES (1)",
        "CREATE TABLE a (b int PRIMARY KEY, c counter)",
        "CREATE TABLE a (b int PRIMARY KEY, c list<int>)",
        "CREATE TABLE a (b int PRIMARY KEY, c int) WITH default_time_to_live = 5",
        "CREATE TABLE a (b int PRIMARY KEY) WITH compaction = {'class': 'TimeWindowCompactionStrategy'}",
        "CREATE TABLE a (b int PRIMARY KEY) WITH cdc = true",
        "ALTER TABLE progress DROP parked",
    ];
    for statement in invalid {
        let statement = statements(statement).remove(0);
        assert!(violation(&statement).is_some(), "{statement}");
    }
    let valid = [
        "ALTER TABLE progress DROP parked USING TIMESTAMP 5",
        "CREATE TABLE a (b int PRIMARY KEY, c frozen<list<int>>)",
        "INSERT INTO {table} (a) VALUES (?) USING TIMESTAMP ? -- IF",
    ];
    for statement in valid {
        assert_eq!(violation(&statements(statement).remove(0)), None, "{statement}");
    }
}
