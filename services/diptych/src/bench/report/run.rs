//! Measures the figures of the report and prints it.

use std::process::ExitCode;

use anyhow::{Context, anyhow};
use tokio::select;

use super::{
    args::{Args, LoadArgs},
    bench_report::BenchReport,
    environment::Environment,
    findings::Findings,
    insert_limit::InsertLimit,
    load::Load,
    query_figures, write_figures,
};
use crate::{bench::one_thread::run_on_one_thread, process::Signals};
#[cfg(feature = "servers")]
use crate::{
    config::{self, Config},
    process::EXIT_NOT_STARTED,
};

/// The number of progress lines.
const STEPS: u32 = 7;

/// Runs the report and prints it.
pub(in crate::bench) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { load, output, .. } = args;
    #[cfg(feature = "servers")]
    let open_limit = match config::load(args.settings.into_sources()) {
        Ok(loaded) => {
            let write_database = loaded.source(super::insert_limit::SETTING).is_some().then_some(loaded.config);
            async move || open_insert_limit(write_database).await
        }
        Err(problems) => {
            eprintln!("{problems}");
            return Ok(ExitCode::from(EXIT_NOT_STARTED));
        }
    };
    #[cfg(not(feature = "servers"))]
    let open_limit = async || Ok(None);
    let report = run_on_one_thread(async move || measure(&load, open_limit).await).await?;
    report.print(output)?;
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Measures the figures. Drops the tables of the bare INSERT also after an error, Ctrl-C or SIGTERM.
async fn measure(
    args: &LoadArgs,
    open_limit: impl AsyncFnOnce() -> anyhow::Result<Option<InsertLimit>>,
) -> anyhow::Result<BenchReport> {
    let load = Load::connect(args).await?;
    // From here on signals do not end the process by themselves, and the tables are dropped.
    let mut signals = Signals::install().context("cannot listen for signals")?;
    let mut insert_limit = open_limit().await?;
    let measured = select! {
        measured = measure_figures(args, &load, &mut insert_limit) => measured,
        signal = signals.next() => Err(anyhow!("interrupted by {signal}")),
    };
    if let Some(insert_limit) = insert_limit
        && let Err(error) = insert_limit.close().await
    {
        // The report is complete without it.
        eprintln!("{error:#}");
    }
    measured
}

/// Opens the limit in the write database, if one is configured.
#[cfg(feature = "servers")]
async fn open_insert_limit(write_database: Option<Config>) -> anyhow::Result<Option<InsertLimit>> {
    match write_database {
        Some(config) => Ok(Some(InsertLimit::open(config).await?)),
        None => Ok(None),
    }
}

async fn measure_figures(
    args: &LoadArgs,
    load: &Load,
    insert_limit: &mut Option<InsertLimit>,
) -> anyhow::Result<BenchReport> {
    let mut findings = Findings::default();
    let postgres_version = match insert_limit {
        Some(insert_limit) => Some(insert_limit.server_version().await?),
        None => None,
    };
    let workload = load.open_many_accounts().await?;
    progress(1, "unary commands and empty calls, in turns");
    write_figures::unary_commands(load, &workload, &mut findings).await?;
    progress(2, "commands by stream and, with a write database, bare batched INSERTs, in turns");
    write_figures::commands_by_stream(load, &workload, insert_limit.as_mut(), &mut findings).await?;
    progress(3, "commands to one hot account and to many accounts, in turns");
    write_figures::hot_account(load, &workload, &mut findings).await?;
    progress(4, "the whole pipeline at full speed, until all is visible");
    write_figures::pipeline(load, &mut findings).await?;
    progress(5, "cached queries and empty calls, in turns");
    query_figures::cached_queries(load, &workload, &mut findings).await?;
    progress(6, "receipt to visible at a fixed rate");
    query_figures::receipt_to_visible(load, &workload, args.rate, &mut findings).await?;
    progress(7, "own writes");
    query_figures::own_writes(load, &workload, &mut findings).await?;
    findings.stale_count += load.stale_count();
    let environment = Environment::read(&args.connection.target, postgres_version);
    Ok(BenchReport::new(environment, args.parameters(), findings))
}

/// Prints a line of progress on standard error.
fn progress(step: u32, name: &str) {
    eprintln!("[{step}/{STEPS}] {name}");
}
