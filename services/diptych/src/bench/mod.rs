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
mod measurement;
mod open_accounts;
mod own_write_client;
mod own_write_measurement;
mod own_writes;
mod pacer;
mod queries;
mod schedule;
mod unary_calls;
mod workload;

use std::{process::ExitCode, thread};

use anyhow::{Context, anyhow};
use tokio::{runtime, sync::oneshot};

use self::{benchmark_result::BenchmarkResult, common_args::CommonArgs};

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

Latencies are measured in the client. A failed call is counted by its reason and
not repeated; its caller pauses before the next call, longer after each failure.

Exit status: 0 success; 1 a call failed, an answer was stale, or the server
could not be reached.";

impl Benchmark {
    fn common(&self) -> &CommonArgs {
        match self {
            Self::Commands(args) => &args.common,
            Self::Queries(args) => &args.common,
            Self::Lag(args) => &args.common,
            Self::OwnWrites(args) => &args.common,
        }
    }

    async fn measure(self) -> anyhow::Result<BenchmarkResult> {
        match self {
            Self::Commands(args) => commands::measure(args).await,
            Self::Queries(args) => queries::measure(args).await,
            Self::Lag(args) => lag::measure(args).await,
            Self::OwnWrites(args) => own_writes::measure(args).await,
        }
    }
}

/// Runs a benchmark and prints its result.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let output = args.benchmark.common().output;
    let result = on_one_thread(args.benchmark).await?;
    output.print(&result, BenchmarkResult::table)?;
    Ok(if result.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs a benchmark on a runtime with one thread: it leaves most of a shared machine to the server.
async fn on_one_thread(benchmark: Benchmark) -> anyhow::Result<BenchmarkResult> {
    let (sender, result) = oneshot::channel();
    let runtime = runtime::Builder::new_current_thread().enable_all().build().context("cannot start the client")?;
    thread::Builder::new()
        .name("bench".to_owned())
        .spawn(move || {
            // The receiver is dropped only if the program is being interrupted.
            let _ = sender.send(runtime.block_on(benchmark.measure()));
        })
        .context("cannot start the client")?;
    result.await.map_err(|_| anyhow!("the client thread ended without a result"))?
}

#[cfg(test)]
mod tests;
