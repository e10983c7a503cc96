//! `diptych verify`: the audit of a folder.

mod report;
mod standing;

#[cfg(test)]
mod tests;

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context;
use diptych_embedded::{EmbeddedEventStore, EmbeddedViewStore, Place};
use diptych_kernel::Partitions;
use diptych_ledger::Ledger;
use diptych_runtime::SystemClock;

use self::report::Report;
use crate::client::Output;

/// The exit status where there is nothing to verify.
const EXIT_MISTAKE: u8 = 2;
/// Both must be there: opening would make what is missing, and find it empty.
const FILES: [&str; 2] = ["events.db", "views.db"];

/// Replays every event of a folder and compares every row of every view with what is stored; then sums up all balances.
///
/// Changes nothing, and may run while `diptych dev` runs on the same folder: rows are then right as far as they go.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The folder that `diptych dev --data DIR` keeps its databases in.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,

    /// How many partitions the folder was made with.
    #[arg(long, value_name = "PARTITIONS", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    partitions: u16,

    /// How many differences to tell; all are counted.
    #[arg(long, value_name = "DIFFERENCES", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    differences: u64,

    /// How to print the result.
    #[arg(long, value_name = "FORM", value_enum, default_value_t = Output::Text)]
    output: Output,
}

const AFTER_HELP: &str = "\
Examples:
  diptych verify --data ./data
  diptych verify --data ./data --output json | jq .differences_count

What is compared: each row's position and bytes with the fold of its events; rows that no event makes; dense versions of every
stream; and, per currency, the sum of all balances with deposits minus withdrawals.

Exit status: 0 no difference; 1 differences, or streams that are parked; 2 nothing to verify there.";

/// Runs the audit.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    if let Some(missing) = FILES.iter().find(|file| !args.data.join(file).is_file()) {
        eprintln!("{} has no {missing}: name the folder that `diptych dev --data DIR` was given", args.data.display());
        return Ok(ExitCode::from(EXIT_MISTAKE));
    }
    let place = Place::Directory(args.data.clone());
    let partitions = Partitions::new(args.partitions)?;
    let opened =
        || format!("cannot open {} (how many partitions it has is told with --partitions)", args.data.display());
    let events = EmbeddedEventStore::open(&place, partitions, Arc::new(SystemClock)).with_context(opened)?;
    let views = EmbeddedViewStore::open(&place, partitions).with_context(opened)?;
    let report = verify(&events, &views, usize::try_from(args.differences)?).await?;
    args.output.print(&report, Report::table)?;
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn verify(
    events: &EmbeddedEventStore,
    views: &EmbeddedViewStore,
    differences_max: usize,
) -> anyhow::Result<Report> {
    let audit = diptych_projector::audit::audit::<Ledger, _, _, _>(events, views, views, differences_max)
        .await
        .context("cannot read the databases")?;
    let standing = standing::audit(views, views).await?;
    Ok(Report::new(&audit, standing))
}
