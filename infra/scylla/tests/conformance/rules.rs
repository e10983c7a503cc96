//! The rules that only ScyllaDB keeps by refusing, and those that nobody keeps: what the statements of this crate may say.
//!
//! The tables of rows and of progress are written with timestamps that are not times. A single statement that forgets its timestamp
//! writes with the present, which is larger than all of them, and its cell can never be replaced again.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The files of a folder and those below, with their texts.
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

/// Words in capitals, signs apart, without comments; cut into statements.
fn statements(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.split_once("--").map_or(line, |(before, _)| before));
    let text = lines.collect::<Vec<_>>().join(" ").to_uppercase();
    let words = |statement: &str| statement.split_whitespace().collect::<Vec<_>>().join(" ");
    text.split(';').map(words).filter(|statement| !statement.is_empty()).collect()
}

/// What is wrong with a statement on the tables of rows or of progress.
fn fault(statement: &str) -> Option<&'static str> {
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
            () if has("COUNTER") => Some("counts"),
            () if loose_collection => Some("has a collection of many cells"),
            () if has("DEFAULT_TIME_TO_LIVE") => Some("expires"),
            () if has("TIMEWINDOW") => Some("drops rows by times that are none"),
            () if has("CDC") => Some("has a log of changes, which has times"),
            () if begins("ALTER") && has(" DROP ") && !has(" USING TIMESTAMP ") => Some("drops as of the present"),
            () => None,
        };
    }
    match () {
        () if !begins("INSERT ") && !begins("UPDATE ") => Some("deletes, or is no write at all"),
        () if !has(" USING TIMESTAMP ?") => Some("is written as of the present"),
        () if has(" IF ") => Some("is conditional"),
        () if has(" TTL ") => Some("expires"),
        () if has(" NULL") => Some("writes a tombstone"),
        () if has(" JSON ") || has(" + ") || has("] =") => Some("may write less than the cells it names"),
        () => None,
    }
}

/// Statements on rows and progress, wherever they stand. Those on the lock and on what was migrated are other tables, and times are times
/// there.
#[test]
fn every_write_has_a_timestamp() {
    let mut writes = 0;
    for folder in ["queries/rows", "queries/progress", "migrations"] {
        for (path, text) in files(folder, "cql") {
            for statement in statements(&text) {
                assert_eq!(fault(&statement), None, "{}: {statement}", path.display());
                writes += usize::from(statement.contains("USING TIMESTAMP"));
            }
        }
    }
    assert_eq!(writes, 2, "one for rows, and one for progress");
}

/// A row is always one that somebody wrote, if every write sets every cell.
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

/// No table of the lock and of migrations is one of rows or of progress.
#[test]
fn other_statements_are_on_other_tables() {
    for (path, text) in files("queries/schema", "cql") {
        for statement in statements(&text) {
            assert!(!statement.contains("{TABLE}") && !statement.contains("PROGRESS"), "{}", path.display());
        }
    }
}

/// Statements stand in files, where the test above sees them.
#[test]
fn no_statement_stands_in_code() {
    for (path, text) in files("src", "rs") {
        let code = text.split_once("#[cfg(test)]").map_or(&*text, |(before, _)| before);
        let code = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        for verb in ["INSERT INTO", "UPDATE ", "DELETE ", "BEGIN ", "TRUNCATE", "SELECT ", "CREATE ", "ALTER ", "DROP "]
        {
            assert!(!code.contains(verb), "{} has a statement with {verb}", path.display());
        }
    }
}

/// The test above would find what it is there for.
#[test]
fn what_breaks_a_rule_is_found() {
    let faulty = [
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
    for statement in faulty {
        let statement = statements(statement).remove(0);
        assert!(fault(&statement).is_some(), "{statement}");
    }
    let fine = [
        "ALTER TABLE progress DROP parked USING TIMESTAMP 5",
        "CREATE TABLE a (b int PRIMARY KEY, c frozen<list<int>>)",
        "INSERT INTO {table} (a) VALUES (?) USING TIMESTAMP ? -- IF",
    ];
    for statement in fine {
        assert_eq!(fault(&statements(statement).remove(0)), None, "{statement}");
    }
}
