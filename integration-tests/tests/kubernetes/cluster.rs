//! kubectl and helm.

use std::{
    env,
    process::{Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use tokio::{io::AsyncWriteExt, process::Command};

/// The cluster that KUBECONFIG names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cluster;

/// What a program wrote.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) is_success: bool,
    pub(crate) output: String,
    pub(crate) errors: String,
}

impl Ended {
    /// The output of a program that succeeded.
    #[track_caller]
    pub(crate) fn unwrap(self) -> String {
        assert!(self.is_success, "{}{}", self.output, self.errors);
        self.output
    }

    /// The messages of a program that failed.
    #[track_caller]
    pub(crate) fn unwrap_err(self) -> String {
        assert!(!self.is_success, "it was to fail: {}{}", self.output, self.errors);
        self.errors
    }
}

impl Cluster {
    /// Returns `None`, and says why, if there is no cluster.
    pub(crate) async fn find() -> Option<Self> {
        if env::var_os("KUBECONFIG").is_none() {
            println!("skipped: KUBECONFIG is not set");
            return None;
        }
        let cluster = Self;
        println!("cluster: {}", cluster.kubectl(&["version", "--output=yaml"]).await.unwrap().replace('\n', " "));
        println!("helm: {}", cluster.helm(&["version", "--short"]).await.unwrap().trim());
        Some(cluster)
    }

    pub(crate) async fn kubectl(self, arguments: &[&str]) -> Ended {
        run("kubectl", arguments, "").await
    }

    pub(crate) async fn helm(self, arguments: &[&str]) -> Ended {
        run("helm", arguments, "").await
    }

    /// Applies manifests.
    pub(crate) async fn apply(self, manifests: &str) {
        run("kubectl", &["apply", "--server-side", "--filename=-"], manifests).await.unwrap();
    }

    /// Sends manifests to the API server, which checks them and changes nothing.
    pub(crate) async fn dry_run(self, manifests: &str) -> Ended {
        run("kubectl", &["apply", "--server-side", "--dry-run=server", "--validate=strict", "--filename=-"], manifests)
            .await
    }

    /// Sends a body to a path of the API server.
    pub(crate) async fn create_raw(self, path: &str, body: &str) -> Ended {
        run("kubectl", &["create", "--raw", path, "--filename=-"], body).await
    }

    /// An object, or a list of them, as JSON.
    pub(crate) async fn get(self, arguments: &[&str]) -> Value {
        let output = self.kubectl(&[&["get", "--output=json"], arguments].concat()).await.unwrap();
        serde_json::from_str(&output).unwrap()
    }
}

async fn run(program: &str, arguments: &[&str], input: &str) -> Ended {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {program}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let write = async {
        // A program that fails early reads nothing.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
    };
    let (ended, ()) = tokio::join!(child.wait_with_output(), write);
    let Output { status, stdout, stderr } = ended.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ended { is_success: status.success(), output: text(&stdout), errors: text(&stderr) }
}

/// Repeats a question until its answer is `Some`, for a bounded time.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            diptych_runtime::pause(Duration::from_millis(200)).await;
        }
    };
    let wait_max = crate::support::edge::WAIT_MAX;
    tokio::time::timeout(wait_max, asking).await.unwrap_or_else(|_| panic!("not within {wait_max:?}: {what}"))
}
