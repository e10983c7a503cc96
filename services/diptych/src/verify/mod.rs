//! `diptych verify`: audit of an installation, embedded or on real servers.

mod checksums;
mod report;
#[cfg(feature = "servers")]
mod servers;
mod sums;

#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{anyhow, bail};
use diptych_embedded::{EmbeddedEventStore, EmbeddedViewStore, ReadOnlyFolder};
use diptych_kernel::{
    Partitions,
    ports::{EventStore, PortError, ProgressStore, StoredChecksums, ViewStore},
};
use diptych_ledger::Ledger;
use diptych_runtime::SystemClock;

use self::report::Report;
use crate::{client::Output, process::EXIT_NOT_STARTED};

/// Databases of a data folder. Checked before they are opened: opening would create a missing one, empty.
const FILES: [&str; 2] = ["events.db", "views.db"];

/// Replay every event, compare the result with every stored row of every view, compare events and snapshots with their
/// checksums, and compare the sums of all balances.
///
/// Without --data the events are read from Postgres and the rows from ScyllaDB, at the addresses in the settings.
/// Changes nothing, and reads a folder that is read-only too. It can run while commands are accepted: each row is
/// compared with the events that it contains. On a folder that is not in use, `diptych dev` cannot start until it has
/// ended.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Folder of `diptych dev --data DIR` to verify, instead of the servers.
    #[arg(long, value_name = "DIR")]
    #[cfg_attr(feature = "servers", arg(conflicts_with_all = ["postgres", "scylla"]))]
    #[cfg_attr(not(feature = "servers"), arg(required = true))]
    data: Option<PathBuf>,

    /// Partitions of the folder, 1 to 256.
    #[arg(
        long, value_name = "PARTITIONS", default_value_t = 16, requires = "data",
        value_parser = clap::value_parser!(u16).range(1..=256)
    )]
    partitions: u16,

    /// Most differences to print, 1 to 10,000; all are counted.
    #[arg(long, value_name = "DIFFERENCES", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    differences: u64,

    /// Format of the result.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Output::Text)]
    output: Output,

    #[cfg(feature = "servers")]
    #[command(flatten)]
    servers: servers::ServerArgs,
}

const AFTER_HELP: &str = "\
Examples:
  diptych verify --data ./data
  diptych verify --config diptych.toml
  diptych verify --postgres postgres://diptych@db/diptych --scylla scylla:9042
  diptych verify --data ./data --output json | jq .differences_count

Differences are: a row that is not the result of its events, or behind its view's progress; a row without events;
a gap in the versions of a stream; an event or a snapshot that differs from its checksum; and, per currency, a sum of
balances that is not deposits minus withdrawals.

Exit status: 0 no differences; 1 differences or parked streams; 2 nothing was verified, see standard error.";

/// Runs the audit.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let differences_max = usize::try_from(args.differences)?;
    let report = match &args.data {
        Some(folder) => verify_folder(folder, args.partitions, differences_max).await,
        #[cfg(feature = "servers")]
        None => match args.servers.config()? {
            Ok(config) => servers::verify_servers(&config, differences_max).await,
            Err(code) => return Ok(code),
        },
        #[cfg(not(feature = "servers"))]
        None => Err(anyhow::anyhow!("--data is missing")),
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
    if folder.is_file() {
        bail!("--data {} is a file; give the folder of `diptych dev --data DIR`", folder.display());
    }
    if let Some(missing) = FILES.iter().find(|file| !folder.join(file).is_file()) {
        bail!("--data {} has no {missing}; give the folder of `diptych dev --data DIR`", folder.display());
    }
    let partitions = Partitions::new(partitions)?;
    let open_error = |error| open_error(folder, &error);
    let opened = ReadOnlyFolder::open(folder).map_err(open_error)?;
    let clock = Arc::new(SystemClock);
    let events =
        EmbeddedEventStore::open_read_only(&opened, partitions, Arc::clone(&clock) as _).map_err(open_error)?;
    let views = EmbeddedViewStore::open_read_only(&opened, partitions, clock).map_err(open_error)?;
    verify(&events, &views, differences_max).await
}

/// The error of a folder that cannot be opened, with the flag that has the cause.
fn open_error(folder: &Path, error: &PortError) -> anyhow::Error {
    // The message of a port error has its source already.
    let error = error.to_string();
    let remedy = if error.contains("partitions") { "; set it with --partitions" } else { "" };
    anyhow!("cannot open --data {}: {error}{remedy}", folder.display())
}

async fn verify<S: EventStore + StoredChecksums, V: ViewStore + ProgressStore>(
    events: &S,
    views: &V,
    differences_max: usize,
) -> anyhow::Result<Report> {
    let audit = diptych_projector::audit::audit::<Ledger, _, _, _>(events, views, views, differences_max)
        .await
        .map_err(|error| anyhow!("cannot read the databases: {error}"))?;
    let checksums = checksums::compare(events, differences_max)
        .await
        .map_err(|error| anyhow!("cannot compare the checksums of the write database: {error}"))?;
    let sums = sums::compare(views, views).await?;
    Ok(Report::new(&audit, &checksums, sums))
}
