//! Measures all figures and prints the report.

use std::process::ExitCode;

use anyhow::anyhow;
use tokio::{select, signal::ctrl_c};

use super::{
    args::{Args, LoadArgs},
    bench_report::BenchReport,
    environment::Environment,
    findings::Findings,
    insert_limit::{self, InsertLimit},
    load::Load,
    query_figures, write_figures,
};
use crate::{
    bench::one_thread::run_on_one_thread,
    config::{self, Config},
    process::EXIT_NOT_STARTED,
};

/// The number of progress lines.
const STEPS: u32 = 7;

/// Runs the report and prints it.
pub(in crate::bench) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { load, output, settings } = args;
    let write_database = match config::load(settings.into_sources()) {
        Ok(loaded) => loaded.source(insert_limit::SETTING).is_some().then_some(loaded.config),
        Err(problems) => {
            eprintln!("{problems}");
            return Ok(ExitCode::from(EXIT_NOT_STARTED));
        }
    };
    let report = run_on_one_thread(async move || measure(&load, write_database).await).await?;
    report.print(output)?;
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Measures all figures. Drops the tables of the bare INSERT also after an error or Ctrl-C.
async fn measure(args: &LoadArgs, write_database: Option<Config>) -> anyhow::Result<BenchReport> {
    let load = Load::connect(args).await?;
    let mut insert_limit = match write_database {
        Some(config) => Some(InsertLimit::open(config).await?),
        None => None,
    };
    let measured = select! {
        measured = measure_figures(args, &load, &mut insert_limit) => measured,
        interrupted = ctrl_c() => match interrupted {
            Ok(()) => Err(anyhow!("interrupted")),
            Err(error) => Err(anyhow!(error).context("cannot listen for Ctrl-C")),
        },
    };
    let closed = match insert_limit {
        Some(insert_limit) => insert_limit.close().await,
        None => Ok(()),
    };
    let report = measured?;
    closed?;
    Ok(report)
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
