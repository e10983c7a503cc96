//! A release of the chart.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{process::Command, time::Instant};

use crate::{
    cluster::{Cluster, Ended},
    images::{Images, image_value},
    namespace::Namespace,
    support::edge::{Edge, program, transactions},
};

/// Name of every release, and so of its objects.
const NAME: &str = "diptych";
/// Longest wait of helm.
const TIMEOUT: &str = "--timeout=5m";

/// A release in a namespace of its own.
#[derive(Debug)]
pub(crate) struct Release {
    pub(crate) namespace: Namespace,
    pub(crate) values: Value,
    files: TempDir,
}

/// The chart of this tree.
pub(crate) fn chart() -> String {
    let chart = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../helm/diptych");
    chart.to_str().unwrap().to_owned()
}

/// Values that name images.
pub(crate) fn image_values(images: &Images, diptych: &str) -> Value {
    json!({
        "image": image_value(diptych),
        "edge": {"bundledEnvoy": {"image": image_value(&images.envoy)}},
        "memcached": {"bundled": {"image": image_value(&images.memcached)}},
    })
}

/// Puts values into others, map by map.
pub(crate) fn merge(into: &mut Value, other: &Value) {
    match (into, other) {
        (Value::Object(into), Value::Object(other)) => {
            for (key, value) in other {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, other) => *into = other.clone(),
    }
}

impl Release {
    /// Nothing is installed yet.
    pub(crate) fn new(namespace: Namespace, values: Value) -> Self {
        Self { namespace, values, files: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn cluster(&self) -> Cluster {
        self.namespace.cluster
    }

    /// Runs a command of helm on this release; `--wait` makes it end when all is ready.
    async fn helm(&self, arguments: &[&str]) -> Ended {
        let namespace = format!("--namespace={}", self.namespace.name);
        self.cluster().helm(&[arguments, &[&namespace]].concat()).await
    }

    /// Installs the release or upgrades it, with the chart of a folder and these values in addition.
    pub(crate) async fn try_upgrade(&mut self, chart: &str, more: &Value) -> Ended {
        self.try_upgrade_within("5m", chart, more).await
    }

    pub(crate) async fn try_upgrade_within(&mut self, timeout: &str, chart: &str, more: &Value) -> Ended {
        merge(&mut self.values, more);
        let file = self.files.path().join("values.json");
        fs::write(&file, self.values.to_string()).unwrap();
        let values = format!("--values={}", file.display());
        let began_at = Instant::now();
        let ended = self.helm(&["upgrade", "--install", NAME, chart, &values, "--wait", "--timeout", timeout]).await;
        println!("helm upgrade --install --wait in {}: {:.1} s", self.namespace.name, began_at.elapsed().as_secs_f32());
        ended
    }

    pub(crate) async fn upgrade(&mut self, more: &Value) {
        self.try_upgrade(&chart(), more).await.unwrap();
    }

    /// Goes back to the version before.
    pub(crate) async fn roll_back(&self) {
        let began_at = Instant::now();
        self.helm(&["rollback", NAME, "--wait", TIMEOUT]).await.unwrap();
        println!("helm rollback --wait in {}: {:.1} s", self.namespace.name, began_at.elapsed().as_secs_f32());
    }

    /// Runs `helm test`.
    pub(crate) async fn test(&self) {
        let output = self.helm(&["test", NAME, "--logs", TIMEOUT]).await.unwrap();
        assert!(output.contains("the ledger matches the file"), "{output}");
    }

    pub(crate) async fn uninstall(self) {
        self.helm(&["uninstall", NAME, "--wait", TIMEOUT]).await.unwrap();
        self.namespace.delete().await;
    }

    /// Address of the edge's Service, with this token.
    pub(crate) async fn edge(&self, token: String) -> Edge {
        let service = self.namespace.get(&["service", "diptych-edge"]).await;
        let address = service["spec"]["clusterIP"].as_str().unwrap();
        Edge { address: format!("{address}:{}", service["spec"]["ports"][0]["port"]), token }
    }
}

/// Imports the transactions of the bank through the edge; every balance and entry must equal the file's.
pub(crate) async fn import(edge: &Edge) {
    let (file, _) = transactions();
    let to = format!("http://{}", edge.address);
    let mut command = Command::new(program());
    command.args(["import", file.to_str().unwrap(), "--to", &to, "--owner", "bank", "--account-prefix", "bank-"]);
    let output = command.env("DIPTYCH_TOKEN", &edge.token).output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("the ledger matches the file"), "{text}");
    println!("{text}");
}
