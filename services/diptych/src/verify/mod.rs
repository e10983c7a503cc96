//! `diptych verify`: audit of an installation, embedded or on real servers.

mod report;
mod sums;

#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context, bail};
use diptych_embedded::{EmbeddedEventStore, EmbeddedViewStore, Storage};
use diptych_kernel::{
    Partitions,
    ports::{EventStore, ProgressStore, ViewStore},
};
use diptych_ledger::Ledger;
use diptych_postgres::PostgresEventStore;
use diptych_runtime::SystemClock;
use diptych_scylla::ScyllaViewStore;

use self::report::Report;
use crate::{
    client::Output,
    config::{Config, Sources},
    process::{self, EXIT_NOT_STARTED, PostgresFlag, ScyllaFlag},
    servers::{self, Server},
};

/// Databases of a data folder. Checked before they are opened: opening would create a missing one, empty.
const FILES: [&str; 2] = ["events.db", "views.db"];
/// Name of this process in the activity view of the server.
const NAME: &str = "verify";

/// Replay every event, compare the result with every stored row of every view, and compare the sums of all balances.
///
/// Without --data the events are read from Postgres and the rows from ScyllaDB, at the addresses in the settings.
/// Changes nothing. It can run while commands are accepted: each row is compared with the events that it contains.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Folder of `diptych dev --data DIR` to verify, instead of the servers.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["postgres", "scylla"])]
    data: Option<PathBuf>,

    /// Partitions of the folder, 1 to 1,024.
    #[arg(
        long, value_name = "PARTITIONS", default_value_t = 16, requires = "data",
        value_parser = clap::value_parser!(u16).range(1..=1_024)
    )]
    partitions: u16,

    /// Most differences to print, 1 to 10,000; all are counted.
    #[arg(long, value_name = "DIFFERENCES", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    differences: u64,

    /// Format of the result.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Output::Text)]
    output: Output,

    /// TOML file with settings.
    #[arg(long, value_name = "FILE", env = "DIPTYCH_CONFIG")]
    config: Option<PathBuf>,

    #[command(flatten)]
    postgres: PostgresFlag,

    #[command(flatten)]
    scylla: ScyllaFlag,
}

const AFTER_HELP: &str = "\
Examples:
  diptych verify --data ./data
  diptych verify --config diptych.toml
  diptych verify --postgres postgres://diptych@db/diptych --scylla scylla:9042
  diptych verify --data ./data --output json | jq .differences_count

Differences are: a row that is not the result of its events, or behind its view's progress; a row without events;
a gap in the versions of a stream; and, per currency, a sum of balances that is not deposits minus withdrawals.

Exit status: 0 no differences; 1 differences or parked streams; 2 nothing was verified, see standard error.";

/// Runs the audit.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let differences_max = usize::try_from(args.differences)?;
    let report = match &args.data {
        Some(folder) => verify_folder(folder, args.partitions, differences_max).await,
        None => {
            let flags = [args.postgres.setting(), args.scylla.setting()];
            match process::configuration(Sources::of_process(args.config, flags.into_iter().flatten()), false)? {
                Ok(config) => verify_servers(&config, differences_max).await,
                Err(code) => return Ok(code),
            }
        }
    };
    let report = match report {
        Ok(report) => report,
        Err(error) => {
            eprintln!("nothing was verified: {error:#}");
            return Ok(ExitCode::from(EXIT_NOT_STARTED));
        }
    };
    args.output.print(&report, Report::table)?;
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn verify_folder(folder: &Path, partitions: u16, differences_max: usize) -> anyhow::Result<Report> {
    if let Some(missing) = FILES.iter().find(|file| !folder.join(file).is_file()) {
        bail!("{} has no {missing}; give the folder of `diptych dev --data DIR`", folder.display());
    }
    let storage = Storage::Directory(folder.to_owned());
    let partitions = Partitions::new(partitions)?;
    let context = || format!("cannot open {} (set the number of its partitions with --partitions)", folder.display());
    let events = EmbeddedEventStore::open(&storage, partitions, Arc::new(SystemClock)).with_context(context)?;
    let views = EmbeddedViewStore::open(&storage, partitions).with_context(context)?;
    verify(&events, &views, differences_max).await
}

async fn verify_servers(config: &Config, differences_max: usize) -> anyhow::Result<Report> {
    let events = PostgresEventStore::open(servers::postgres_config(config, NAME)).await;
    let events = events.map_err(|error| Server::Postgres.failure(config, &error))?;
    let views = ScyllaViewStore::open(config.scylla.adapter(), events.partitions()).await;
    let views = views.map_err(|error| Server::Scylla.failure(config, &error))?;
    verify(&events, &views, differences_max).await
}

async fn verify<S: EventStore, V: ViewStore + ProgressStore>(
    events: &S,
    views: &V,
    differences_max: usize,
) -> anyhow::Result<Report> {
    let audit = diptych_projector::audit::audit::<Ledger, _, _, _>(events, views, views, differences_max)
        .await
        .context("cannot read the databases")?;
    let sums = sums::compare(views, views).await?;
    Ok(Report::new(&audit, sums))
}
