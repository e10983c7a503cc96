//! `diptych bench`: a load generator.
//!
//! Client and server often share a machine, so the client is cheap: one thread, few connections, and callers
//! ([`concurrent_callers`]) that are futures of one task.

mod alternate;
mod benchmark_result;
mod command_stream;
mod commands;
mod common_args;
mod concurrent_callers;
mod connection_pool;
mod fixed_rate;
mod lag;
mod latest_receipts;
mod measurement;
mod one_thread;
mod open_accounts;
mod own_write_client;
mod own_write_measurement;
mod own_writes;
mod pacer;
mod queries;
mod report;
mod schedule;
mod unary_calls;
mod workload;
mod zipf;

use std::process::ExitCode;

use self::{benchmark_result::BenchmarkResult, one_thread::run_on_one_thread};
use crate::client::Output;

/// Measure a running server: commands, queries, the time until a command is visible, and whether callers see their own
/// writes.
///
/// Opens accounts of its own (their ids start with bench-) and deposits into them; other accounts are not changed.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(Debug, clap::Subcommand)]
enum Benchmark {
    Commands(commands::Args),
    Queries(queries::Args),
    Lag(lag::Args),
    OwnWrites(own_writes::Args),
    Report(report::Args),
}

const AFTER_HELP: &str = "\
Examples:
  diptych bench commands --in-flight 64                     unary calls
  diptych bench commands --mode stream --in-flight 1024     one stream
  diptych bench commands --mode stream --compare-hot        one hot account against many
  diptych bench commands --mode stream --in-flight 1024 --rate 5000 --seconds 60 --until-visible
  diptych bench queries --in-flight 64
  diptych bench lag --rate 2000
  diptych bench own-writes --count 10000
  diptych bench commands --output json | jq '.series[0].p99_ms'
  diptych bench report --output markdown                    the figures of the README, with comparisons

Latencies are measured in the client. A failed call is counted by its reason and
not repeated; its caller pauses before the next call, longer after each failure.

Exit status: 0 success; 1 a call failed, an answer was stale, or the server
could not be reached.";

/// Runs a benchmark and prints its result.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.benchmark {
        Benchmark::Commands(args) => print(args.common.output, async || commands::measure(args).await).await,
        Benchmark::Queries(args) => print(args.common.output, async || queries::measure(args).await).await,
        Benchmark::Lag(args) => print(args.common.output, async || lag::measure(args).await).await,
        Benchmark::OwnWrites(args) => print(args.common.output, async || own_writes::measure(args).await).await,
        Benchmark::Report(args) => report::run(args).await,
    }
}

async fn print(
    output: Output,
    measure: impl AsyncFnOnce() -> anyhow::Result<BenchmarkResult> + Send + 'static,
) -> anyhow::Result<ExitCode> {
    let result = run_on_one_thread(measure).await?;
    output.print(&result, BenchmarkResult::table)?;
    Ok(if result.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests;
