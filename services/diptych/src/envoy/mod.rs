//! `diptych envoy`: configuration of Envoy, from the templates of `infra/envoy`.
//!
//! For installations without the local stack and without a chart: a step before Envoy starts writes the files that it
//! reads. And what runs beside Envoy: `drain`, before it stops.

mod development_key;
mod drain;
mod edge;
mod files;
mod gateway;
mod process_flags;

use std::process::ExitCode;

/// Write the configuration of Envoy: of the edge, which accepts every call, and of gateways, which check tokens and
/// route to the services; and drain an Envoy before it stops.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    part: Part,
}

#[derive(Debug, clap::Subcommand)]
enum Part {
    Edge(edge::Args),
    Gateway(gateway::Args),
    DevelopmentKey(development_key::Args),
    Drain(drain::Args),
}

const AFTER_HELP: &str = "\
Examples:
  diptych envoy gateway --to ./envoy --commands command:7400 --queries query:7400 \\
    --issuer https://login.example --audience diptych --jwks /etc/envoy/jwks.json --listen 0.0.0.0:7400
  diptych envoy edge --to ./envoy --gateways gateway:7400 --listen 0.0.0.0:7400
  diptych envoy development-key --to ./envoy     a key and a token for trying, instead of an issuer
  diptych envoy drain --admin 127.0.0.1:9901     beside an Envoy that will be stopped
  envoy -c ./envoy/gateway.yaml --disable-hot-restart -l warning

Files are readable by this user only. Existing configurations are replaced, an
existing key is kept.";

/// Writes the files of a part, or drains.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.part {
        Part::Edge(args) => edge::run(&args)?,
        Part::Gateway(args) => gateway::run(&args)?,
        Part::DevelopmentKey(args) => development_key::run(&args)?,
        Part::Drain(args) => drain::run(&args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests;
