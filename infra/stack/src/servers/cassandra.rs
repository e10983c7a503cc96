//! Prepares a Cassandra node.

use std::time::Duration;

use super::{
    file::{make_folder, write},
    java,
    setup::ServerSetup,
};
use crate::{
    error::StackResult,
    process::{ProcessSpec, Readiness},
};

const NAME: &str = "cassandra";
const YAML: &str = include_str!("../../config/cassandra.yaml");
const LOGGING: &str = include_str!("../../config/cassandra-logback.xml");
const OPTIONS: &str = include_str!("../../config/cassandra.options");
const MEMORY: &[&str] = &["-Xms1g", "-Xmx1g", "-Xmn96m", "-Xss512k", "-XX:MaxDirectMemorySize=256m"];

/// On a busy node, Cassandra's idle workers poll for work in turns, every 10 microseconds (`SEPWorker`), which causes a
/// hundred thousand context switches a second at half load. A larger timer slack saves a quarter of the CPU time there.
const TIMER_SLACK: Duration = Duration::from_micros(500);

const READY_TIMEOUT: Duration = Duration::from_secs(180);

pub(super) fn prepare(setup: &ServerSetup<'_>) -> StackResult<ProcessSpec> {
    let folder = setup.folder.process(NAME);
    make_folder(&folder)?;
    let (yaml, logging) = (folder.join("cassandra.yaml"), folder.join("logback.xml"));
    let port = |service: &str| setup.port(service).to_string();
    // It listens on one address, or on all; clients of the driver are told the second one.
    let rpc = setup.pod_address.map(|address| format!("0.0.0.0\nbroadcast_rpc_address: {address}"));
    let values = [
        ("cql", port("cql")),
        ("storage", port("storage")),
        ("rpc", rpc.unwrap_or_else(|| "127.0.0.1".to_owned())),
        ("data", folder.display().to_string()),
    ];
    write(&yaml, YAML, &values)?;
    write(&logging, LOGGING, &[])?;

    let lines = OPTIONS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut options: Vec<_> = MEMORY.iter().copied().chain(lines).map(str::to_owned).collect();
    options.push(format!("-Dcassandra.config=file://{}", yaml.display()));
    options.push(format!("-Dcassandra.storagedir={}", folder.display()));
    options.push(format!("-Dlogback.configurationFile={}", logging.display()));
    let class = ["org.apache.cassandra.service.CassandraDaemon"];
    let mut spec = java::process(setup, NAME, &setup.tools.cassandra()?, options, &class)?;
    spec.stop_timeout = Duration::from_secs(30);
    spec.timer_slack = Some(TIMER_SLACK);
    Ok(spec.ready(Readiness::Cql { port: setup.port("cql") }, READY_TIMEOUT))
}
