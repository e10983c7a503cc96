//! A service process, and its log.

use std::{
    io::{BufRead, BufReader},
    process::{Child, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
};

use serde_json::Value;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use super::process::{SHUTDOWN_TIMEOUT, TIMEOUT, diptych, kill};

/// A serving subcommand on free ports, killed when dropped.
pub(crate) struct Service {
    child: Child,
    /// The address of gRPC.
    pub(crate) address: String,
    /// Log lines not read yet.
    lines: Receiver<Value>,
    /// Log lines read so far.
    pub(crate) log: Vec<Value>,
}

impl Service {
    /// Starts it on a free port, and waits until it listens.
    pub(crate) fn start(role: &str, settings: &[(&str, &str)]) -> Self {
        Self::start_at(role, "127.0.0.1:0", settings)
    }

    /// Starts it at this address, and waits until it listens.
    pub(crate) fn start_at(role: &str, listen: &str, settings: &[(&str, &str)]) -> Self {
        let mut command = diptych(&[role, "--listen", listen, "--metrics", "127.0.0.1:0"]);
        command.env("DIPTYCH_LOG__FORMAT", "json").envs([SHUTDOWN_TIMEOUT]).envs(settings.iter().copied());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (send, lines) = channel();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                // A line without JSON was written before the log was installed, or is the final error.
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        let mut service = Self { child, address: String::new(), lines, log: Vec::new() };
        let listening = service.until_logged(|line| line["message"] == "listening");
        service.address = listening["grpc"].as_str().unwrap().to_owned();
        service
    }

    /// Waits for the next line that matches.
    pub(crate) fn until_logged(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.log.push(line.clone());
                    if fits(&line) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("not logged in time: {:#?}", self.log),
                Err(RecvTimeoutError::Disconnected) => panic!("it has ended: {:#?}", self.log),
            }
        }
    }

    /// Waits until it is ready.
    pub(crate) fn until_ready(&mut self) -> &mut Self {
        self.until_logged(|line| line["message"] == "ready");
        self
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) async fn channel(&self) -> Channel {
        Channel::from_shared(self.url()).unwrap().connect().await.unwrap()
    }

    /// The health status of a name.
    pub(crate) async fn health(&self, name: &str) -> ServingStatus {
        let request = HealthCheckRequest { service: name.to_owned() };
        HealthClient::new(self.channel().await).check(request).await.unwrap().into_inner().status()
    }

    /// Sends a signal, as `kill` does.
    pub(crate) fn signal(&self, name: &str) {
        kill(self.child.id(), name);
    }

    /// As [`Service::end`], while the test's own connections are still served: an unresponsive one would delay
    /// shutdown.
    pub(crate) async fn ended(self) -> (ExitStatus, Vec<Value>) {
        tokio::task::spawn_blocking(|| self.end()).await.unwrap()
    }

    /// Waits for its end; returns its exit status and its log.
    pub(crate) fn end(mut self) -> (ExitStatus, Vec<Value>) {
        let status = self.child.wait().unwrap();
        let mut log = std::mem::take(&mut self.log);
        log.extend(self.lines.iter());
        (status, log)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
