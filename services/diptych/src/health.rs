//! `diptych health`: the health of a running process, for engines whose health checks are commands: an image without a
//! shell has no other program to ask with.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, anyhow};
use tonic::transport::Endpoint;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

/// Print the health of a process, such as SERVING.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Args {
    /// URL of the process.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7400")]
    to: String,

    /// What is asked for: readiness, liveness or startup, or the name of a gRPC service.
    #[arg(long, value_name = "NAME", default_value = "readiness")]
    service: String,

    /// Longest wait for an answer, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    timeout: u64,
}

const AFTER_HELP: &str = "\
Examples:
  diptych health
  diptych health --to http://relay:7400 --service liveness

Exit status: 0 SERVING; 1 any other status, or no answer.";

/// Asks once, and prints the answer.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { to, service, timeout } = args;
    let timeout = Duration::from_secs(timeout);
    let endpoint = Endpoint::from_shared(to.clone())
        .with_context(|| format!("--to {to} is not a URL; give one such as http://127.0.0.1:7400"))?;
    let channel = endpoint.connect_timeout(timeout).timeout(timeout).connect().await;
    let channel = channel.with_context(|| format!("cannot connect to {to}"))?;
    let answer = HealthClient::new(channel).check(HealthCheckRequest { service: service.clone() }).await;
    let answer = answer.map_err(|status| anyhow!("{to} does not tell its {service}: {}", status.message()))?;
    let status = answer.into_inner().status();
    println!("{}", status.as_str_name());
    Ok(if status == ServingStatus::Serving { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
