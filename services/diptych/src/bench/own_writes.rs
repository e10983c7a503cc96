//! `diptych bench own-writes`.

use super::{
    benchmark_result::{BenchmarkResult, Parameters},
    common_args::CommonArgs,
    connection_pool::ConnectionPool,
    open_accounts::open_accounts,
    own_write_client::Query,
    own_write_measurement::run_pairs,
    pacer::Pacer,
    workload::Workload,
};
use crate::client::RequiredServices;

/// Send pairs of a deposit and a query with the token of its receipt; count fresh answers, stale ones, and errors.
///
/// A fresh answer includes the deposit; a stale one does not.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) common: CommonArgs,

    /// Pairs in flight, 1 to 1,024.
    #[arg(long, value_name = "COUNT", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=1_024))]
    in_flight: u64,

    /// Accounts that the commands are spread over, 1 to 100,000.
    #[arg(long, value_name = "COUNT", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    accounts: u64,

    /// Send all commands to one account.
    #[arg(long, conflicts_with = "accounts")]
    hot: bool,

    /// Query after each command.
    #[arg(long, value_enum, default_value_t = Query::Account)]
    query: Query,

    /// Pairs to send.
    #[arg(long, value_name = "COUNT", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
}

/// Runs the benchmark.
pub(super) async fn measure(args: Args) -> anyhow::Result<BenchmarkResult> {
    let connection = &args.common.connection;
    let pool =
        ConnectionPool::open(&connection.target, connection.connections, RequiredServices::CommandsAndQueries).await?;
    let accounts = if args.hot { 1 } else { args.accounts };
    let workload = Workload::new(accounts);
    open_accounts(&pool, &workload).await?;
    let run = async |pacer| run_pairs(&pool, &workload, args.in_flight, args.query, &pacer).await;
    run(Pacer::for_duration(connection.warm_up())).await?;
    let measurement = run(Pacer::for_calls(args.count)).await?;
    let mut result = BenchmarkResult::new(Parameters {
        benchmark: "own-writes",
        mode: "unary",
        connections: connection.connections,
        in_flight: Some(args.in_flight),
        rate_per_second: None,
        accounts,
    });
    result.add_series("commands", &measurement.commands);
    result.add_series("fresh answers", &measurement.queries);
    result.set_stale_answers(measurement.stale_count);
    Ok(result)
}
