//! The program as a process.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread,
    time::Duration,
};

/// The longest wait of a test for anything.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);
/// Setting of the servers of tests, so that a graceful shutdown ends on a slow machine too.
pub(crate) const SHUTDOWN_TIMEOUT: (&str, &str) = ("DIPTYCH_SHUTDOWN_TIMEOUT", "120s");

/// The program, without the `DIPTYCH_` variables of the environment that the tests run in.
pub(crate) fn diptych(args: &[&str]) -> Command {
    let mut command = without_settings(env!("CARGO_BIN_EXE_diptych"));
    command.args(args).stdin(Stdio::null());
    command
}

/// Any program, without the `DIPTYCH_` variables of the environment that the tests run in.
pub(crate) fn without_settings(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("DIPTYCH_")) {
        command.env_remove(name);
    }
    command
}

/// Runs the program to its end; returns its exit status, standard output and standard error.
pub(crate) fn run(args: &[&str]) -> (i32, String, String) {
    ended(diptych(args).output().unwrap())
}

pub(crate) fn ended(output: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Sends a signal to a process.
pub(crate) fn kill(process: u32, signal: &str) {
    let status = Command::new("kill").args(["-s", signal, &process.to_string()]).status().unwrap();
    assert!(status.success());
}

/// `diptych dev`, or `diptych all`, on free ports, killed when dropped.
pub(crate) struct Dev {
    child: Child,
    /// Its standard output up to the line on how to stop it.
    pub(crate) banner: String,
    log: Option<thread::JoinHandle<String>>,
}

impl Dev {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_as("dev", args, &[])
    }

    /// Starts this subcommand with these environment variables.
    pub(crate) fn start_as(subcommand: &str, args: &[&str], settings: &[(&str, &str)]) -> Self {
        let free = [subcommand, "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"];
        let mut command = diptych(&[&free, args].concat());
        command.envs([SHUTDOWN_TIMEOUT]).envs(settings.iter().copied());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let log = thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        let mut banner = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        while !banner.contains("Ctrl-C") && stdout.read_line(&mut banner).unwrap() > 0 {}
        let dev = Self { child, banner, log: Some(log) };
        assert!(dev.banner.contains("Ctrl-C"), "no banner: {}", dev.end().1);
        dev
    }

    /// The word after this one in the banner.
    pub(crate) fn address(&self, name: &str) -> &str {
        let after = self.banner.split(name).nth(1).unwrap_or_else(|| panic!("no {name} in {}", self.banner));
        after.split_whitespace().next().unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address("gRPC"))
    }

    /// Sends a signal, as `kill` does.
    pub(crate) fn signal(&self, name: &str) {
        kill(self.child.id(), name);
    }

    /// As [`Dev::end`], while the test's own connections are still served: an unresponsive one would delay shutdown.
    pub(crate) async fn ended(self) -> (ExitStatus, String) {
        tokio::task::spawn_blocking(|| self.end()).await.unwrap()
    }

    /// Waits for its end; returns its exit status and its log.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        let log = self.log.take().unwrap().join().unwrap();
        (self.child.wait().unwrap(), log)
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking()
            && let Some(Ok(log)) = self.log.take().map(thread::JoinHandle::join)
        {
            println!("log of the process:\n{log}");
        }
    }
}
