//! `import` of a bank's transactions into `dev`: once, again, and while the server is killed twenty times.
//!
//! The file is the real bank's if it is present beside the checkout, otherwise the sample.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic here is the report of a test")]

#[path = "../support/process.rs"]
#[allow(dead_code, reason = "shared with the tests of `dev`, which use more of it")]
mod process;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use diptych_proto::ledger::query::v1::{
    GetTotalsRequest, ListEntriesRequest, query_service_client::QueryServiceClient,
};
use process::{Dev, diptych, run};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde_json::Value;
use tonic::transport::Channel;

/// Number of times that the server is killed during an import.
const KILLS: u32 = 20;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The file, and its numbers of rows and accounts.
fn transactions() -> (PathBuf, u64, u64) {
    let real = root().join("../shared/data/czech-bank/transactions.csv.gz");
    if real.exists() {
        return (real, 23_932, 591);
    }
    let sample = root().join("examples/sample-transactions.csv");
    let rows = std::fs::read_to_string(&sample).unwrap().lines().count() as u64 - 1;
    (sample, rows, 5)
}

/// Runs an import to its end; returns its report.
fn import(dev: &Dev) -> Value {
    let (file, ..) = transactions();
    let (status, out, err) = run(&["import", file.to_str().unwrap(), "--to", &dev.url(), "--output", "json"]);
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out} {err}"));
    assert_eq!(status, 0, "{report:#} {err}");
    report
}

fn start_import(dev: &Dev) -> Child {
    let (file, ..) = transactions();
    let args = ["import", file.to_str().unwrap(), "--to", &dev.url(), "--timeout", "1"];
    diptych(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn assert_all_matched(report: &Value) {
    let (_, rows, accounts) = transactions();
    assert_eq!(report["rows"], rows, "{report:#}");
    assert_eq!(report["balances_matched"], accounts, "{report:#}");
    assert_eq!(report["entries_matched"], rows, "{report:#}");
    assert_eq!(report["refused"], 0, "{report:#}");
    assert_eq!(report["matches_file"], true, "{report:#}");
}

async fn queries(dev: &Dev) -> QueryServiceClient<Channel> {
    let channel = Channel::from_shared(dev.url()).unwrap().connect().await.unwrap();
    QueryServiceClient::new(channel)
}

async fn entry_count(queries: &mut QueryServiceClient<Channel>) -> i64 {
    let request = GetTotalsRequest { currency_code: "CZK".to_owned(), consistency: None };
    queries.get_totals(request).await.unwrap().into_inner().totals.unwrap().entry_count
}

/// The transactions of each account in the file with the balances after them, oldest first.
fn statements() -> HashMap<String, Vec<(String, i64)>> {
    let (file, ..) = transactions();
    let bytes = std::fs::File::open(&file).unwrap();
    let reader: Box<dyn std::io::Read> = if file.extension().is_some_and(|end| end == "gz") {
        Box::new(flate2::read::GzDecoder::new(bytes))
    } else {
        Box::new(bytes)
    };
    let mut statements: HashMap<String, Vec<(String, i64)>> = HashMap::new();
    for record in csv::Reader::from_reader(reader).records() {
        let record = record.unwrap();
        let row = (record[0].to_owned(), record[4].parse().unwrap());
        statements.entry(record[1].to_owned()).or_default().push(row);
    }
    statements
}

/// All entries of an account in the ledger, newest first, read page by page.
async fn statement(queries: &mut QueryServiceClient<Channel>, account_id: &str) -> Vec<(String, i64)> {
    let mut request = ListEntriesRequest { account_id: account_id.to_owned(), page_size: 7, ..Default::default() };
    let mut entries = Vec::new();
    loop {
        let page = queries.list_entries(request.clone()).await.unwrap().into_inner();
        entries.extend(page.entries.into_iter().map(|entry| (entry.reference, entry.balance_after_minor)));
        if page.next_page_token.is_empty() {
            return entries;
        }
        request.page_token = page.next_page_token;
    }
}

#[tokio::test]
async fn every_balance_and_every_entry_is_that_of_the_bank_s_file() {
    let (_, rows, _) = transactions();
    let dev = Dev::start(&[]);
    let first = import(&dev);
    assert_all_matched(&first);
    assert_eq!(first["accepted"], rows);

    // Independent of the comparison that `import` makes: page by page, as a client reads statements.
    let mut queries = queries(&dev).await;
    for (account, mut expected) in statements() {
        expected.reverse();
        assert_eq!(statement(&mut queries, &account).await, expected, "statement of {account}");
    }

    let second = import(&dev);
    assert_all_matched(&second);
    assert_eq!(second["accepted"], 0, "a second import changes nothing");
    assert_eq!(second["already_imported"], rows);
    assert_eq!(entry_count(&mut queries).await.unsigned_abs(), rows);
}

#[tokio::test]
async fn twenty_kills_during_an_import_change_nothing() {
    let seed: u64 = rand::random();
    println!("seed={seed}");
    let mut rng = SmallRng::seed_from_u64(seed);
    let (_, rows, _) = transactions();
    let folder = tempfile::tempdir().unwrap();
    let data = ["--data", folder.path().to_str().unwrap()];
    for _ in 0..KILLS {
        let dev = Dev::start(&data);
        let mut queries = queries(&dev).await;
        let before = entry_count(&mut queries).await;
        let entries_until_kill = rng.random_range(1..=i64::try_from(rows).unwrap() / i64::from(KILLS) + 1);
        let mut importing = start_import(&dev);
        // Kills at a random moment: when this many more entries are visible, or when the import ends.
        while entry_count(&mut queries).await < before + entries_until_kill && importing.try_wait().unwrap().is_none() {
        }
        dev.signal("KILL");
        dev.end();
        let _ended = importing.kill();
        importing.wait().unwrap();
    }
    let dev = Dev::start(&data);
    assert_all_matched(&import(&dev));
    dev.signal("TERM");
    assert!(dev.end().0.success());
    let (status, out, err) = run(&["verify", "--data", folder.path().to_str().unwrap()]);
    assert_eq!(status, 0, "{out} {err}");
}

#[tokio::test]
async fn each_of_ten_thousand_commands_is_seen_by_the_query_that_follows() {
    let dev = Dev::start(&[]);
    let (status, out, err) = run(&["bench", "own-writes", "--to", &dev.url(), "--count", "10000", "--output", "json"]);
    assert_eq!(status, 0, "{out} {err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["stale_answers"], 0, "{report:#}");
    for series in report["series"].as_array().unwrap() {
        assert_eq!(series["succeeded"], 10_000, "{report:#}");
        assert_eq!(series["failed"], 0, "{report:#}");
    }
}
