//! The product as it is installed: servers, services, gateways, an edge, and the import program.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{Output, Stdio},
};

use diptych_runtime::{Shutdown, Tasks, testing::OtlpReceiver};
use diptych_stack::{Product, ProductConfig, Server, Stack, StackConfig, Tools, Tracing};
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::support::edge::{Edge, program, transactions};

/// Time that an import retries without an answer, in seconds.
const IMPORT_TIMEOUT_SECONDS: &str = "120";

/// The installed program, the stack that it runs on, and the receiver of its traces.
pub(crate) struct StackInstallation {
    pub(crate) stack: Stack,
    pub(crate) otlp_receiver: OtlpReceiver,
    _receiver_tasks: Tasks,
    product: Product,
    program: PathBuf,
    partitions: u16,
}

/// Result of an import.
pub(crate) struct Import {
    status: Option<i32>,
    pub(crate) report: Value,
    stderr: String,
}

impl StackInstallation {
    /// Starts everything, with two processes of each service. If a server is not installed, prints that and returns
    /// `None`; in CI it fails.
    pub(crate) async fn start() -> Option<Self> {
        let config = StackConfig::for_test(Server::ALL).unwrap();
        let tools = Tools::at(&config.paths);
        let missing = Server::ALL.iter().find_map(|server| tools.check(server.package()).err());
        let missing = missing.or_else(|| tools.envoy().err()).or_else(|| tools.grpcurl().err());
        if let Some(missing) = missing {
            let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
            assert!(!in_ci, "{missing}");
            println!("skipped: {missing}");
            return None;
        }
        let program = program();
        let stack = Stack::start(config).await.unwrap();
        let mut config = ProductConfig::new(&program);
        config.settings = settings();
        let receiver_tasks = Tasks::new(Shutdown::new());
        let otlp_receiver = OtlpReceiver::start(&receiver_tasks).await;
        enable_tracing(&mut config, &otlp_receiver.endpoint());
        let product = stack.start_product(&config).await.unwrap();
        Some(Self {
            stack,
            otlp_receiver,
            _receiver_tasks: receiver_tasks,
            product,
            program,
            partitions: config.partitions,
        })
    }

    /// Address of the edge, as `host:port`.
    pub(crate) fn address(&self) -> &str {
        &self.product.address
    }

    /// Its edge.
    pub(crate) fn edge(&self) -> Edge {
        Edge { address: self.address().to_owned(), token: self.token().to_owned() }
    }

    /// Bearer token for calls.
    pub(crate) fn token(&self) -> &str {
        &self.product.token
    }

    /// Number of partitions.
    pub(crate) fn partitions(&self) -> u16 {
        self.partitions
    }

    /// A subcommand of the program, with the addresses of the servers and a token in its environment.
    fn diptych(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        // Variables for tests are not settings of the program.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("DIPTYCH_")) {
            command.env_remove(name);
        }
        command.args(arguments).envs(&self.product.settings).env("DIPTYCH_TOKEN", self.token());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Imports the transactions into accounts of an owner, whose ids start with the owner's name.
    pub(crate) async fn import(&self, owner: &str) -> Import {
        self.start_import(owner).end().await
    }

    pub(crate) fn start_import(&self, owner: &str) -> RunningImport {
        let (file, _) = transactions();
        let (to, prefix) = (format!("http://{}", self.address()), format!("{owner}-"));
        let mut arguments = vec!["import", file.to_str().unwrap(), "--to", &to, "--output", "json"];
        arguments.extend(["--owner", owner, "--account-prefix", &prefix, "--timeout", IMPORT_TIMEOUT_SECONDS]);
        RunningImport(self.diptych(&arguments).spawn().unwrap())
    }

    /// Replays every event, and compares every row with the result.
    pub(crate) async fn assert_verified(&self) {
        let Output { status, stdout, stderr } = self.diptych(&["verify"]).output().await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(status.success(), "{} {}", text(&stdout), text(&stderr));
    }

    /// Kills a process without a graceful stop, and starts it again.
    pub(crate) async fn kill_and_start(&self, process: &str) {
        self.stack.kill(process).await.unwrap();
        self.stack.start_process(process).await.unwrap();
    }

    /// A port of a process, by the name of the service on it.
    pub(crate) fn port(&self, process: &str, service: &str) -> u16 {
        let processes = self.stack.status().unwrap();
        let ports = processes.iter().find(|status| status.name == process).map(|status| &status.ports);
        *ports.and_then(|ports| ports.get(service)).unwrap_or_else(|| panic!("{process} has no port for {service}"))
    }

    /// Port of memcached.
    pub(crate) fn cache_port(&self) -> u16 {
        self.stack.port(Server::Memcached).unwrap()
    }

    pub(crate) async fn stop(self) {
        self.stack.stop().await.unwrap();
    }
}

/// A running import.
pub(crate) struct RunningImport(Child);

impl RunningImport {
    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    pub(crate) async fn end(self) -> Import {
        let Output { status, stdout, stderr } = self.0.wait_with_output().await.unwrap();
        let report = serde_json::from_slice(&stdout).unwrap_or(Value::Null);
        Import { status: status.code(), report, stderr: String::from_utf8_lossy(&stderr).into_owned() }
    }
}

impl Import {
    /// Asserts that every row was accepted or known, and every balance and entry equals that of the file.
    #[track_caller]
    pub(crate) fn assert_equal(&self) {
        let is_success = self.status == Some(0) && self.report["matches_file"] == true;
        assert!(is_success, "status {:?}: {:#} {}", self.status, self.report, self.stderr);
    }
}

/// Traces only calls that have a trace context.
fn enable_tracing(config: &mut ProductConfig, endpoint: &str) {
    let (_, port) = endpoint.rsplit_once(':').unwrap();
    config.tracing = Some(Tracing { host: "127.0.0.1".into(), port: port.parse().unwrap(), sampled_per_million: 0 });
    let settings = [("OTLP_ENDPOINT", endpoint), ("SAMPLING_RATIO", "0"), ("EXPORT_INTERVAL", "100ms")];
    let settings = settings.map(|(name, value)| (format!("DIPTYCH_TELEMETRY__{name}"), value.to_owned()));
    config.settings.extend(settings);
}

/// Shorter timeouts than the defaults, so that takeovers are faster: for the projectors' group the minimum that Kafka
/// allows.
fn settings() -> BTreeMap<String, String> {
    let settings = [("DIPTYCH_KAFKA__SESSION_TIMEOUT", "6s"), ("DIPTYCH_RELAY__LEASE_DURATION", "4s")];
    settings.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
