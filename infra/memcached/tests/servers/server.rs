//! Memcached processes started by a test.

use std::{
    fs,
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpStream;

use crate::harness::{is_ci, wait_until};

const PROGRAM: &str = "memcached";

/// A Memcached process that is killed when dropped.
pub(crate) struct MemcachedServer {
    pub(crate) address: String,
    port: u16,
    options: Vec<String>,
    child: Option<Child>,
}

impl MemcachedServer {
    /// `None` where the program is not installed.
    pub(crate) async fn start(options: &[&str]) -> Option<Self> {
        let is_there = Command::new(PROGRAM).arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
        assert!(is_there || !is_ci(), "{PROGRAM} is not in the PATH in CI");
        if !is_there {
            println!("skipped: {PROGRAM} is not in the PATH");
            return None;
        }
        // Another process may take the port first; then the server exits at once, and another port is tried.
        for _ in 0..10 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let options = options.iter().map(ToString::to_string).collect();
            let mut server = Self { address: format!("127.0.0.1:{port}"), port, options, child: None };
            if server.restart().await {
                return Some(server);
            }
        }
        panic!("found no free port for a server");
    }

    /// Starts it on the same port; returns whether that worked.
    pub(crate) async fn restart(&mut self) -> bool {
        let child = Command::new(PROGRAM)
            .args(["-u", "nobody", "-l", "127.0.0.1", "-U", "0", "-m", "64", "-t", "2", "-p"])
            .arg(self.port.to_string())
            .args(&self.options)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let child = self.child.insert(child);
        let mut has_ended = false;
        wait_until("the server to start", async || {
            has_ended = child.try_wait().unwrap().is_some();
            has_ended || TcpStream::connect(&self.address).await.is_ok()
        })
        .await;
        !has_ended
    }

    /// Kills it with SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Stops it with SIGSTOP: the kernel accepts connections, but nothing is answered.
    pub(crate) async fn pause(&self) {
        self.signal(Signal::STOP);
        let threads = format!("/proc/{}/task", self.child.as_ref().unwrap().id());
        wait_until("all threads to stop", async || {
            fs::read_dir(&threads).unwrap().all(|thread| {
                let state = fs::read_to_string(thread.unwrap().path().join("stat")).unwrap();
                state.rsplit(") ").next().is_some_and(|state| state.starts_with('T'))
            })
        })
        .await;
    }

    /// Resumes it with SIGCONT; it then processes everything in its socket buffers.
    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.child.as_ref().unwrap()), signal).unwrap();
    }
}

impl Drop for MemcachedServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Timeout for tests in which some calls time out, and others must not on a slow machine.
pub(crate) const SHORT_TIMEOUT: Duration = Duration::from_secs(3);
