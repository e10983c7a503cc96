//! A running Envoy process.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::time::Instant;

use super::curl::{HttpResponse, curl};

/// Timeout of a test's waits.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(60);

/// Path of the binary; `None` if tests that need it are skipped.
pub(crate) fn binary() -> Option<PathBuf> {
    let path = std::env::var_os("DIPTYCH_TEST_ENVOY").map(PathBuf::from);
    if path.is_none() {
        let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
        assert!(!in_ci, "DIPTYCH_TEST_ENVOY is not set, and CI must not skip tests");
        println!("skipped: DIPTYCH_TEST_ENVOY is not set");
    }
    path
}

/// Polls until `condition` returns a value.
pub(crate) async fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let began_at = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(began_at.elapsed() < WAIT_MAX, "{what} did not happen within {WAIT_MAX:?}");
        diptych_runtime::pause(Duration::from_millis(10)).await;
    }
}

/// A running Envoy, killed when dropped.
pub(crate) struct Envoy {
    child: Child,
    folder: TempDir,
    admin: SocketAddr,
    /// Address that it listens on for calls.
    pub(crate) calls: SocketAddr,
}

impl Envoy {
    /// Starts Envoy, and returns when it accepts calls. `render` gets the path of the access log.
    pub(crate) async fn start(binary: &Path, render: impl FnOnce(String) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("envoy.yaml"), render(path("access.log").to_str().unwrap().to_owned())).unwrap();
        let mut child = Command::new(binary)
            .arg("-c")
            .arg(path("envoy.yaml"))
            .arg("--admin-address-path")
            .arg(path("admin"))
            // With hot restart, several processes on one machine conflict.
            .args(["--concurrency", "1", "--disable-hot-restart", "-l", "warning", "--file-flush-interval-msec", "50"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(path("stderr")).unwrap())
            .spawn()
            .unwrap();
        let contents = |file: &str| fs::read_to_string(path(file)).unwrap_or_default();
        let admin = eventually("the start of Envoy", || {
            assert!(child.try_wait().unwrap().is_none(), "Envoy has ended: {}", contents("stderr"));
            contents("admin").parse().ok()
        });
        let admin = admin.await;
        // The port is known before Envoy listens on it: that begins after the first health check of every cluster.
        let calls = eventually("the first answer", || {
            let listeners = curl(&[&format!("http://{admin}/listeners")]).body;
            let calls: SocketAddr = listeners.trim().strip_prefix("calls::")?.parse().ok()?;
            (curl(&[&format!("http://{calls}/ready")]).status == 200).then_some(calls)
        });
        Self { admin, calls: calls.await, child, folder }
    }

    /// Sends a request to the admin port.
    pub(crate) fn admin(&self, method: &str, path: &str) -> HttpResponse {
        curl(&["-X", method, &format!("http://{}{path}", self.admin)])
    }

    /// The URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.calls)
    }

    /// Waits until exactly `healthy` instances of a cluster are healthy.
    pub(crate) async fn until_healthy(&self, cluster: &str, healthy: usize) {
        let prefix = format!("{cluster}::");
        eventually(&format!("{healthy} healthy instances of {cluster}"), || {
            let clusters = self.admin("GET", "/clusters").body;
            let flags = clusters.lines().filter(|line| line.starts_with(&prefix) && line.contains("::health_flags::"));
            (flags.filter(|line| line.ends_with("::healthy")).count() == healthy).then_some(())
        })
        .await;
    }

    /// The value of a counter or gauge, 0 if it does not exist.
    pub(crate) fn stat(&self, name: &str) -> u64 {
        let stats = self.admin("GET", &format!("/stats?filter={name}")).body;
        let mut values = stats.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")?.parse().ok());
        values.next().unwrap_or(0)
    }

    /// The last line of the access log that contains `part`; `None` if it is not written yet, which takes a moment.
    pub(crate) fn logged(&self, part: &str) -> Option<serde_json::Value> {
        let log = fs::read_to_string(self.folder.path().join("access.log")).unwrap_or_default();
        let line = log.lines().rev().find(|line| line.contains(part))?;
        serde_json::from_str(line).ok()
    }

    /// Suspends the process, with all its connections open, as on a machine that hangs.
    pub(crate) fn pause(&self) {
        let status = Command::new("kill").args(["-s", "STOP", &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Kills the process.
    pub(crate) fn kill(&mut self) {
        // The process may have ended already.
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
