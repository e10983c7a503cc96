//! A running Envoy.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::time::Instant;

use super::curl::{Answer, curl};

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The binary, or nothing where tests that need it are skipped.
pub(crate) fn binary() -> Option<PathBuf> {
    let path = std::env::var_os("DIPTYCH_TEST_ENVOY").map(PathBuf::from);
    if path.is_none() {
        let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
        assert!(!in_ci, "DIPTYCH_TEST_ENVOY is not set, and CI must not skip");
        println!("skipped: DIPTYCH_TEST_ENVOY is not set");
    }
    path
}

/// Waits until `happens` returns something.
pub(crate) async fn eventually<T>(what: &str, mut happens: impl FnMut() -> Option<T>) -> T {
    let began_at = Instant::now();
    loop {
        if let Some(value) = happens() {
            return value;
        }
        assert!(began_at.elapsed() < PATIENCE, "{what} did not happen within {PATIENCE:?}");
        diptych_runtime::pause(Duration::from_millis(10)).await;
    }
}

/// Envoy with a configuration, killed when dropped.
pub(crate) struct Envoy {
    child: Child,
    folder: TempDir,
    admin: SocketAddr,
    /// Where it takes calls.
    pub(crate) calls: SocketAddr,
}

impl Envoy {
    /// Runs until it takes calls. The configuration is rendered for the file that the access log goes to.
    pub(crate) async fn start(binary: &Path, render: impl FnOnce(String) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("envoy.yaml"), render(path("access.log").to_str().unwrap().to_owned())).unwrap();
        let mut child = Command::new(binary)
            .arg("-c")
            .arg(path("envoy.yaml"))
            .arg("--admin-address-path")
            .arg(path("admin"))
            // Without hot restart off, several do not run side by side.
            .args(["--concurrency", "1", "--disable-hot-restart", "-l", "warning", "--file-flush-interval-msec", "50"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(path("stderr")).unwrap())
            .spawn()
            .unwrap();
        let said = |file: &str| fs::read_to_string(path(file)).unwrap_or_default();
        let admin = eventually("the start of Envoy", || {
            assert!(child.try_wait().unwrap().is_none(), "Envoy has ended: {}", said("stderr"));
            said("admin").parse().ok()
        });
        let admin = admin.await;
        // The port is known before anybody listens on it: that begins when all clusters have been checked for the first time.
        let calls = eventually("the first answer", || {
            let listeners = curl(&[&format!("http://{admin}/listeners")]).body;
            let calls: SocketAddr = listeners.trim().strip_prefix("calls::")?.parse().ok()?;
            (curl(&[&format!("http://{calls}/ready")]).status == 200).then_some(calls)
        });
        Self { admin, calls: calls.await, child, folder }
    }

    /// A request to the administration.
    pub(crate) fn admin(&self, method: &str, path: &str) -> Answer {
        curl(&["-X", method, &format!("http://{}{path}", self.admin)])
    }

    /// A URL of a path that it serves.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.calls)
    }

    /// Waits until all instances of a cluster, or all but these many, are healthy.
    pub(crate) async fn sees(&self, cluster: &str, healthy: usize) {
        let prefix = format!("{cluster}::");
        eventually(&format!("{healthy} healthy instances of {cluster}"), || {
            let clusters = self.admin("GET", "/clusters").body;
            let flags = clusters.lines().filter(|line| line.starts_with(&prefix) && line.contains("::health_flags::"));
            (flags.filter(|line| line.ends_with("::healthy")).count() == healthy).then_some(())
        })
        .await;
    }

    /// The value of a counter or gauge, 0 where it is not there.
    pub(crate) fn stat(&self, name: &str) -> u64 {
        let stats = self.admin("GET", &format!("/stats?filter={name}")).body;
        let mut values = stats.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")?.parse().ok());
        values.next().unwrap_or(0)
    }

    /// The last line of the access log with this in it, when it is there: Envoy writes a little after the call.
    pub(crate) fn logged(&self, part: &str) -> Option<serde_json::Value> {
        let log = fs::read_to_string(self.folder.path().join("access.log")).unwrap_or_default();
        let line = log.lines().rev().find(|line| line.contains(part))?;
        serde_json::from_str(line).ok()
    }

    /// Stops it where it is, with all its connections open, as a machine does that hangs.
    pub(crate) fn pause(&self) {
        let status = Command::new("kill").args(["-s", "STOP", &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Ends it at once, as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            for file in ["stderr", "access.log"] {
                eprintln!(
                    "{file} of {}:\n{}",
                    self.calls,
                    fs::read_to_string(self.folder.path().join(file)).unwrap_or_default()
                );
            }
        }
    }
}
