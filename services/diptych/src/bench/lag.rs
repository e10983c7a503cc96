//! `diptych bench lag`.

use std::time::Duration;

use super::{
    benchmark_result::{BenchmarkResult, Parameters},
    common_args::CommonArgs,
    connection_pool::ConnectionPool,
    fixed_rate::{self, FixedRate},
    open_accounts::open_accounts,
    workload::Workload,
};
use crate::client::RequiredServices;

/// Send deposits at a fixed rate, and measure the time from each receipt to the answer of a query that includes it.
///
/// The rate does not depend on how slow the answers are. Each query carries the token of its receipt.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) common: CommonArgs,

    /// Commands per second, 1 to 100,000.
    #[arg(long, value_name = "RATE", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rate: u64,

    /// Largest number of pairs of command and query in flight, 1 to 65,536. Commands that are due while this many are
    /// in flight are dropped, and counted.
    #[arg(long, value_name = "COUNT", default_value_t = 1_024, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    in_flight: u64,

    /// Accounts that the commands are spread over, 1 to 100,000.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    accounts: u64,

    /// Duration of the measurement, 1 to 3,000.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_000))]
    seconds: u64,
}

/// Runs the benchmark.
pub(super) async fn measure(args: Args) -> anyhow::Result<BenchmarkResult> {
    let connection = &args.common.connection;
    let pool =
        ConnectionPool::open(&connection.target, connection.connections, RequiredServices::CommandsAndQueries).await?;
    let workload = Workload::new(args.accounts);
    open_accounts(&pool, &workload).await?;
    let load = FixedRate { rate_per_second: args.rate, in_flight_max: usize::try_from(args.in_flight)? };
    fixed_rate::run(&pool, &workload, load, connection.warm_up()).await?;
    let measurement = fixed_rate::run(&pool, &workload, load, Duration::from_secs(args.seconds)).await?;
    let mut result = BenchmarkResult::new(Parameters {
        benchmark: "lag",
        mode: "unary",
        connections: connection.connections,
        in_flight: None,
        rate_per_second: Some(args.rate),
        accounts: args.accounts,
    });
    result.add_series("commands, from due to receipt", &measurement.own_writes.commands);
    result.add_series("receipt to visible", &measurement.own_writes.queries);
    result.set_stale_answers(measurement.own_writes.stale_count);
    result.set_commands_dropped(measurement.commands_dropped);
    Ok(result)
}
