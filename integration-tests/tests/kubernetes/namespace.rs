//! A namespace of a test.

use std::env;

use serde_json::Value;

use crate::cluster::{Cluster, eventually};

/// A namespace that enforces the Pod Security Standard `restricted`.
#[derive(Debug)]
pub(crate) struct Namespace {
    pub(crate) cluster: Cluster,
    pub(crate) name: String,
}

impl Namespace {
    /// Creates it, after deleting what an earlier run has left.
    pub(crate) async fn create(cluster: Cluster, name: &str) -> Self {
        let namespace = Self { cluster, name: name.to_owned() };
        namespace.delete().await;
        cluster
            .apply(&format!(
                "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n  labels:\n    \
                 pod-security.kubernetes.io/enforce: restricted\n"
            ))
            .await;
        namespace
    }

    pub(crate) async fn delete(&self) {
        self.cluster.kubectl(&["delete", "namespace", &self.name, "--ignore-not-found", "--wait"]).await.unwrap();
    }

    /// An object, or a list of them, as JSON.
    pub(crate) async fn get(&self, arguments: &[&str]) -> Value {
        self.cluster.get(&[&["--namespace", &self.name], arguments].concat()).await
    }

    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> String {
        self.cluster.kubectl(&[&["--namespace", &self.name], arguments].concat()).await.unwrap()
    }

    /// A Secret of texts.
    pub(crate) async fn create_secret(&self, name: &str, entries: &[(&str, &str)]) {
        let entries: Vec<String> = entries.iter().map(|(key, value)| format!("--from-literal={key}={value}")).collect();
        let arguments = ["create", "secret", "generic", name].into_iter().chain(entries.iter().map(String::as_str));
        self.kubectl(&arguments.collect::<Vec<_>>()).await;
    }

    /// A volume on the node for a claim that the chart will make, where the cluster makes none by itself.
    pub(crate) async fn prepare_volume(&self, claim: &str) {
        let Ok(folder) = env::var("DIPTYCH_TEST_CLUSTER_VOLUMES") else { return };
        let volume = format!("{}-{claim}", self.name);
        let path = format!("{folder}/{volume}");
        // What an earlier run has left.
        self.cluster.kubectl(&["delete", "persistentvolume", &volume, "--ignore-not-found"]).await.unwrap();
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        let nodes = self.cluster.get(&["nodes"]).await;
        let node = nodes["items"][0]["metadata"]["name"].as_str().unwrap().to_owned();
        self.cluster
            .apply(&format!(
                "apiVersion: v1
kind: PersistentVolume
metadata: {{name: {volume}}}
spec:
  capacity: {{storage: 8Gi}}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  claimRef: {{namespace: {}, name: {claim}}}
  local: {{path: \"{path}\"}}
  nodeAffinity:
    required:
      nodeSelectorTerms:
        - matchExpressions: [{{key: kubernetes.io/hostname, operator: In, values: [{node}]}}]
",
                self.name
            ))
            .await;
    }

    /// Names of the pods of a component that are not about to end.
    pub(crate) async fn pods(&self, component: &str) -> Vec<String> {
        let selector = format!("--selector=app.kubernetes.io/component={component}");
        let pods = self.get(&["pods", &selector]).await;
        let pods = pods["items"].as_array().unwrap().iter();
        let pods = pods.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        pods.map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until each workload has the pods that it wants, all ready and of its newest version, and no other is left.
    pub(crate) async fn until_settled(&self) {
        eventually("all pods are ready and none is left over", async || {
            let lists = self.get(&["deployments,statefulsets", "--selector=app.kubernetes.io/name=diptych"]).await;
            let count = |object: &Value, path: &str| object.pointer(path).and_then(Value::as_i64).unwrap_or(0);
            let mut wanted = 0;
            for workload in lists["items"].as_array().unwrap() {
                let replicas = count(workload, "/spec/replicas");
                wanted += replicas;
                let is_settled = ["replicas", "readyReplicas", "updatedReplicas"]
                    .iter()
                    .all(|field| count(workload, &format!("/status/{field}")) == replicas);
                if !is_settled
                    || count(workload, "/status/observedGeneration") < count(workload, "/metadata/generation")
                {
                    return None;
                }
            }
            let pods = self.get(&["pods", "--field-selector=status.phase=Running"]).await;
            (i64::try_from(pods["items"].as_array().unwrap().len()).unwrap() == wanted).then_some(())
        })
        .await;
    }

    /// Prints memory and restarts of every container; fails if one was restarted more often than this.
    pub(crate) async fn report_pods(&self, restarts_max: i64) {
        let pods = self.get(&["pods"]).await;
        let mut statistics = Vec::new();
        for node in self.cluster.get(&["nodes"]).await["items"].as_array().unwrap() {
            let path = format!("/api/v1/nodes/{}/proxy/stats/summary", node["metadata"]["name"].as_str().unwrap());
            let summary = self.cluster.kubectl(&["get", "--raw", &path]).await;
            let summary: Value = serde_json::from_str(&summary.output).unwrap_or_default();
            statistics.extend(summary["pods"].as_array().cloned().unwrap_or_default());
        }
        println!("{:50} {:>10} {:>8}", "pod and container", "memory", "restarts");
        for pod in pods["items"].as_array().unwrap() {
            let name = &pod["metadata"]["name"];
            let containers = statistics.iter().find(|known| known["podRef"]["name"] == *name);
            for status in pod["status"]["containerStatuses"].as_array().into_iter().flatten() {
                let container = &status["name"];
                let known = containers.and_then(|pod| pod["containers"].as_array()).into_iter().flatten();
                let bytes = known
                    .filter(|known| known["name"] == *container)
                    .find_map(|known| known.pointer("/memory/workingSetBytes").and_then(Value::as_u64));
                let restarts = status["restartCount"].as_i64().unwrap();
                let memory = bytes.map_or_else(|| "unknown".to_owned(), |bytes| format!("{} MiB", bytes >> 20));
                let label = format!("{} {}", name.as_str().unwrap(), container.as_str().unwrap());
                println!("{label:50} {memory:>10} {restarts:>8}");
                assert!(restarts <= restarts_max, "{label} was restarted: {status}");
            }
        }
    }
}
