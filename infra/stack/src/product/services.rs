//! Processes of the services, several for each role.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use super::config::ProductConfig;
use crate::{
    error::StackResult,
    process::{ProcessSpec, Readiness},
    stack::Stack,
};

/// Subcommands of `diptych`, in the order of the data flow.
pub(super) const ROLES: [&str; 4] = ["command", "relay", "projector", "query"];

/// Name of the port for gRPC calls and health checks.
pub(super) const GRPC: &str = "grpc";
const METRICS: &str = "metrics";

/// Name of the gRPC health service for readiness.
const READINESS: &str = "readiness";
const READY_TIMEOUT: Duration = Duration::from_secs(90);
const STAGE: u8 = 1;

/// Specifications of the processes, named `command-1`, `command-2` and so on.
pub(super) fn specs(
    stack: &Stack,
    config: &ProductConfig,
    settings: &BTreeMap<String, String>,
) -> StackResult<Vec<ProcessSpec>> {
    let names = ROLES.iter().flat_map(|role| (1..=config.instances).map(move |number| (*role, number)));
    names.map(|(role, number)| spec(stack, config, settings, role, number)).collect()
}

/// Returns the program of the services, if the stack has services.
pub(super) fn program(stack: &Stack) -> StackResult<Option<PathBuf>> {
    let state = stack.state()?;
    Ok(state.find(&format!("{}-1", ROLES[0])).map(|record| record.spec.program.clone()))
}

fn spec(
    stack: &Stack,
    config: &ProductConfig,
    settings: &BTreeMap<String, String>,
    role: &str,
    number: u16,
) -> StackResult<ProcessSpec> {
    let name = format!("{role}-{number}");
    let ports = stack.ports(&name, &[GRPC, METRICS])?;
    let port = |service: &str| ports.get(service).copied().unwrap_or(0);
    let address = |service: &str| format!("127.0.0.1:{}", port(service));
    let ready = Readiness::Grpc { port: port(GRPC), service: READINESS.to_owned() };
    let arguments = [role, "--listen", &address(GRPC), "--metrics", &address(METRICS), "--instance", &name];
    let mut spec =
        ProcessSpec::new(&name, &config.program).arguments(arguments).stage(STAGE).ready(ready, READY_TIMEOUT);
    spec.environment.clone_from(settings);
    // Its own time limit for shutdown is 10 s.
    spec.stop_timeout = Duration::from_secs(15);
    Ok(spec.ports(ports))
}
