//! `diptych bench`: a load generator of its own, so that figures can be had wherever the binary is.
//!
//! Client and server often share a machine, so the client must be cheap: one thread, few connections, and lanes
//! ([`lanes`]) that are futures of one task.

mod commands;
mod lag;
mod lanes;
mod limit;
mod measured;
mod own_writes;
mod prepare;
mod queries;
mod report;
mod schedule;
mod stream;
mod visible;
mod workload;

use std::{process::ExitCode, thread, time::Duration};

use anyhow::{Context, anyhow};
use tokio::{runtime, sync::oneshot};

use self::report::Report;
use crate::client::{Output, Target};

/// Measures a running server: commands, queries, how soon a command is visible, and whether writers see their own
/// writes.
///
/// Opens accounts of its own (their names start with bench-) and deposits into them; other accounts are not touched.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Sends deposits and measures how many per second get their receipts, and how long each takes.
    Commands(commands::Args),
    /// Reads accounts and, in turns, calls an empty rpc on the same server; shows the ratio.
    Queries(queries::Args),
    /// Sends deposits at a fixed rate and measures from each receipt to the answer that shows it.
    Lag(lag::Args),
    /// Sends deposits, each followed at once by a query with its token; counts fresh answers, older ones and errors.
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

Latencies are seen from the client. A call that fails is counted by its reason, and not repeated; its client pauses
before the next, longer each time. Exit status: 0, or 1 if a call failed or an answer was older than its token.";

/// What every measurement takes.
#[derive(Clone, Debug, clap::Args)]
struct Common {
    #[command(flatten)]
    target: Target,

    /// How many connections to spread the calls over, 1 to 64.
    #[arg(long, value_name = "CONNECTIONS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=64))]
    connections: u64,

    /// How many seconds to run before measuring, 0 to 60.
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(..=60))]
    warm_up: u64,

    /// How to print the result.
    #[arg(long, value_name = "FORM", value_enum, default_value_t = Output::Text)]
    output: Output,
}

impl Common {
    fn warm_up(&self) -> Duration {
        Duration::from_secs(self.warm_up)
    }
}

impl What {
    fn output(&self) -> Output {
        match self {
            Self::Commands(args) => args.common.output,
            Self::Queries(args) => args.common.output,
            Self::Lag(args) => args.common.output,
            Self::OwnWrites(args) => args.common.output,
        }
    }

    async fn measure(self) -> anyhow::Result<Report> {
        match self {
            Self::Commands(args) => commands::measure(args).await,
            Self::Queries(args) => queries::measure(args).await,
            Self::Lag(args) => lag::measure(args).await,
            Self::OwnWrites(args) => own_writes::measure(args).await,
        }
    }
}

/// Runs a measurement.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let output = args.what.output();
    let report = on_one_thread(args.what).await?;
    output.print(&report, Report::table)?;
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A runtime of one thread wakes no other: on a machine that the server needs too, that leaves the server the most.
async fn on_one_thread(what: What) -> anyhow::Result<Report> {
    let (done, result) = oneshot::channel();
    let runtime = runtime::Builder::new_current_thread().enable_all().build().context("cannot start the client")?;
    thread::Builder::new()
        .name("bench".to_owned())
        .spawn(move || {
            // Nobody waits any more when the program is being interrupted.
            let _ = done.send(runtime.block_on(what.measure()));
        })
        .context("cannot start the client")?;
    result.await.map_err(|_| anyhow!("the client thread ended without a result"))?
}

#[cfg(test)]
mod tests;
