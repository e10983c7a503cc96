//! A place of one's own on the real servers.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use uuid::Uuid;

use super::{database, process::diptych};

/// As many as the tests need, and few enough for tables to be made soon. Told to the migration only: no service may need the setting.
pub(crate) const PARTITIONS: &str = "4";

/// Names that no other test has, on servers that all share.
pub(crate) struct Site {
    settings: Vec<(&'static str, String)>,
}

impl Site {
    /// A new one, with an empty database; `None` where the servers are not there.
    pub(crate) fn new() -> Option<Self> {
        let [postgres, kafka, scylla, memcached] = servers()?;
        let name = format!("diptych_{}", Uuid::new_v4().simple());
        let postgres = database::create(&postgres, &name);
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
        Some(Self { settings })
    }

    /// What a process is told of it.
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

    /// The tables of a database, the topic and the keyspace.
    pub(crate) fn migrate(&self) -> Output {
        self.diptych(&["migrate", "--partitions", PARTITIONS]).output().unwrap()
    }

    /// Everything replayed and compared. Fails with what differs.
    pub(crate) async fn assert_verified(&self) {
        let (status, report, errors) = ended(self.diptych(&["verify", "--output", "json"])).await;
        assert_eq!(status, 0, "{report:#} {errors}");
        assert!(report["events"].as_u64().unwrap() > 0 && report["events_not_yet_projected"] == 0, "{report:#}");
    }
}

/// Runs a program that prints a report to its end, beside what the test itself serves.
pub(crate) async fn ended(mut command: Command) -> (i32, Value, String) {
    let Output { status, stdout, stderr } =
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let errors = String::from_utf8(stderr).unwrap();
    (status.code().unwrap(), serde_json::from_slice(&stdout).unwrap_or_default(), errors)
}

/// Imports a file, which must come out as it went in.
pub(crate) async fn import(url: &str, file: &Path, account_prefix: &str) {
    let args = ["import", file.to_str().unwrap(), "--to", url, "--account-prefix", account_prefix, "--output", "json"];
    let (status, report, errors) = ended(diptych(&args)).await;
    assert_eq!((status, &report["equal"]), (0, &true.into()), "{report:#} {errors}");
}

/// Deposits, each followed by a query that must show it.
pub(crate) async fn assert_own_writes(url: &str, count: &str) {
    let args = ["bench", "own-writes", "--to", url, "--count", count, "--spread", "16", "--warm-up", "0"];
    let (status, report, errors) = ended(diptych(&[&args[..], &["--output", "json"]].concat())).await;
    assert_eq!((status, &report["stale"]), (0, &0.into()), "{report:#} {errors}");
}

/// The made-up sample, and the real bank's file where it lies beside the checkout.
pub(crate) fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let real = root.join("../shared/data/czech-bank/transactions.csv.gz");
    let mut files = vec![root.join("examples/sample-transactions.csv")];
    files.extend(real.exists().then_some(real));
    files
}

/// Where the servers are. Where one is not named, the test cannot run: said on a laptop, a failure in CI.
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
