//! `diptych verify`: the audit of an installation, embedded or on the real servers.

mod report;
mod standing;

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

/// Both must be there: opening would make what is missing, and find it empty.
const FILES: [&str; 2] = ["events.db", "views.db"];
/// What this program is called among the server's connections.
const NAME: &str = "verify";

/// Replays every event and compares every row of every view with what is stored; then sums up all balances.
///
/// Without --data the events are those of Postgres and the rows those of ScyllaDB, as the settings name them. Changes
/// nothing, and may run while commands come in: rows are then right as far as they go.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The folder that `diptych dev --data DIR` keeps its databases in, instead of the servers.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["postgres", "scylla"])]
    data: Option<PathBuf>,

    /// How many partitions the folder was made with.
    #[arg(
        long, value_name = "PARTITIONS", default_value_t = 16, requires = "data",
        value_parser = clap::value_parser!(u16).range(1..=1_024)
    )]
    partitions: u16,

    /// How many differences to tell; all are counted.
    #[arg(long, value_name = "DIFFERENCES", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    differences: u64,

    /// How to print the result.
    #[arg(long, value_name = "FORM", value_enum, default_value_t = Output::Text)]
    output: Output,

    /// A TOML file with settings.
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

What is compared: each row's position and bytes with the fold of its events; rows that no event makes; dense
versions of every stream; and, per currency, the sum of all balances with deposits minus withdrawals.

Exit status: 0 no difference; 1 differences, or streams that are parked; 2 nothing was verified, standard error says why.";

/// Runs the audit.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let differences_max = usize::try_from(args.differences)?;
    let report = match &args.data {
        Some(folder) => of_folder(folder, args.partitions, differences_max).await,
        None => {
            let flags = [args.postgres.setting(), args.scylla.setting()];
            match process::configuration(Sources::of_process(args.config, flags.into_iter().flatten()), false)? {
                Ok(config) => of_servers(&config, differences_max).await,
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

async fn of_folder(folder: &Path, partitions: u16, differences_max: usize) -> anyhow::Result<Report> {
    if let Some(missing) = FILES.iter().find(|file| !folder.join(file).is_file()) {
        bail!("{} has no {missing}: name the folder that `diptych dev --data DIR` was given", folder.display());
    }
    let place = Storage::Directory(folder.to_owned());
    let partitions = Partitions::new(partitions)?;
    let opened = || format!("cannot open {} (how many partitions it has is told with --partitions)", folder.display());
    let events = EmbeddedEventStore::open(&place, partitions, Arc::new(SystemClock)).with_context(opened)?;
    let views = EmbeddedViewStore::open(&place, partitions).with_context(opened)?;
    verify(&events, &views, differences_max).await
}

async fn of_servers(config: &Config, differences_max: usize) -> anyhow::Result<Report> {
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
    let standing = standing::audit(views, views).await?;
    Ok(Report::new(&audit, standing))
}
