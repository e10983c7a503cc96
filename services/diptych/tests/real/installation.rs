//! An installation on the real servers that no other test shares.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    database,
    process::{TIMEOUT, diptych},
};

/// Few, so that tables are created quickly. Only given to the migration: no service may need the setting.
pub(crate) const PARTITIONS: &str = "4";

/// Names on the shared servers that no other test uses.
pub(crate) struct TestInstallation {
    /// The URL of another database on the same server.
    pub(crate) postgres_server: String,
    settings: Vec<(&'static str, String)>,
}

impl TestInstallation {
    /// A new one, with an empty database; `None` where the servers are not configured.
    pub(crate) fn new() -> Option<Self> {
        let [postgres, kafka, scylla, memcached] = servers()?;
        let name = format!("diptych_{}", Uuid::new_v4().simple());
        let (postgres_server, postgres) = (postgres.clone(), database::create(&postgres, &name));
        let settings = vec![
            ("DIPTYCH_POSTGRES__URL", postgres),
            ("DIPTYCH_KAFKA__BOOTSTRAP_SERVERS", kafka),
            ("DIPTYCH_KAFKA__TOPIC", name.clone()),
            ("DIPTYCH_KAFKA__REPLICATION_FACTOR", "1".to_owned()),
            ("DIPTYCH_SCYLLA__CONTACT_POINTS", scylla),
            ("DIPTYCH_SCYLLA__KEYSPACE", name.clone()),
            ("DIPTYCH_SCYLLA__REPLICATION_FACTOR", "1".to_owned()),
            ("DIPTYCH_MEMCACHED__SERVERS", memcached),
            ("DIPTYCH_MEMCACHED__KEY_PREFIX", name),
        ];
        Some(Self { postgres_server, settings })
    }

    /// The environment variables for its processes.
    pub(crate) fn settings(&self) -> Vec<(&str, &str)> {
        self.settings.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }

    /// One of the settings.
    pub(crate) fn setting(&self, name: &str) -> &str {
        &self.settings.iter().find(|(known, _)| *known == name).unwrap().1
    }

    /// The program with these settings.
    pub(crate) fn diptych(&self, args: &[&str]) -> Command {
        let mut command = diptych(args);
        command.envs(self.settings());
        command
    }

    /// Runs `diptych migrate`.
    pub(crate) fn migrate(&self) -> Output {
        self.diptych(&["migrate", "--partitions", PARTITIONS]).output().unwrap()
    }

    /// Runs `diptych verify` until all events are projected; fails at a difference.
    pub(crate) async fn assert_verified(&self) {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let (status, report, errors) = ended(self.diptych(&["verify", "--output", "json"])).await;
            assert_eq!(status, 0, "{report:#} {errors}");
            assert!(report["events"].as_u64().unwrap() > 0, "{report:#}");
            if report["events_not_yet_projected"] == 0 {
                return;
            }
            assert!(Instant::now() < deadline, "not projected within {TIMEOUT:?}: {report:#}");
        }
    }
}

/// Runs a program that prints a report to its end, while the test's own servers keep running.
pub(crate) async fn ended(mut command: Command) -> (i32, Value, String) {
    let Output { status, stdout, stderr } =
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let errors = String::from_utf8(stderr).unwrap();
    (status.code().unwrap(), serde_json::from_slice(&stdout).unwrap_or_default(), errors)
}

/// Imports a file, and checks that it reads back as it is.
pub(crate) async fn import(url: &str, file: &Path, account_prefix: &str) {
    let args = ["import", file.to_str().unwrap(), "--to", url, "--account-prefix", account_prefix, "--output", "json"];
    let (status, report, errors) = ended(diptych(&args)).await;
    assert_eq!((status, &report["matches_file"]), (0, &true.into()), "{report:#} {errors}");
}

/// Reasons of failed calls that missed a deadline, or whose server was not available for a moment.
const TEMPORARY_REASONS: [&str; 7] = [
    "Cancelled",
    "DeadlineExceeded",
    "OUTCOME_UNKNOWN",
    "READ_UNAVAILABLE",
    "Unavailable",
    "VIEW_BEHIND",
    "WRITE_UNAVAILABLE",
];

/// Deposits, each followed by a query that must include it. On a slow machine a call may miss its deadline, which is no
/// fault; then all are repeated once. An older answer, or a failure with another reason, is a fault at once.
pub(crate) async fn assert_own_writes(url: &str, count: &str) {
    let args = ["bench", "own-writes", "--to", url, "--count", count, "--accounts", "16", "--warm-up", "0"];
    let args = [&args[..], &["--output", "json"]].concat();
    let (status, report, errors) = ended(diptych(&args)).await;
    assert_eq!(report["stale_answers"], 0, "{report:#} {errors}");
    if status == 0 {
        return;
    }
    let series = report["series"].as_array().unwrap_or_else(|| panic!("no report: {errors}"));
    let mut reasons = series.iter().flat_map(|series| series["failures"].as_object().unwrap().keys());
    assert!(reasons.all(|reason| TEMPORARY_REASONS.contains(&reason.as_str())), "{report:#} {errors}");
    println!("repeated, as calls failed: {report:#}");
    let (status, report, errors) = ended(diptych(&args)).await;
    assert_eq!((status, &report["stale_answers"]), (0, &0.into()), "{report:#} {errors}");
}

/// The synthetic sample, and the file of a real bank where it exists beside the checkout.
pub(crate) fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let real = root.join("../shared/data/czech-bank/transactions.csv.gz");
    let mut files = vec![root.join("examples/sample-transactions.csv")];
    files.extend(real.exists().then_some(real));
    files
}

/// The addresses of the servers. Without one of them a test is skipped with a message; in CI it fails.
fn servers() -> Option<[String; 4]> {
    let names = ["DIPTYCH_TEST_POSTGRES_URL", "DIPTYCH_TEST_KAFKA", "DIPTYCH_TEST_CQL", "DIPTYCH_TEST_MEMCACHED"];
    let found = names.map(|name| std::env::var(name).ok());
    let missing = names.iter().zip(&found).find(|(_, found)| found.is_none());
    if let Some((missing, _)) = missing {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci.is_empty()), "{missing} is not set, and CI runs this test");
        println!("skipped: {missing} is not set");
        return None;
    }
    Some(found.map(Option::unwrap))
}
