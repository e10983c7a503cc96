//! `diptych bench queries`.

use std::time::Duration;

use super::{
    alternate::Turns,
    benchmark_result::{BenchmarkResult, Parameters},
    common_args::CommonArgs,
    connection_pool::ConnectionPool,
    open_accounts::{open_accounts, wait_until_readable},
    pacer::Pacer,
    unary_calls::{empty_queries, get_accounts},
    workload::Workload,
};
use crate::client::RequiredServices;

/// Turns of half a second: short, so that other load on the machine affects both kinds of calls.
pub(super) const TURNS_PER_SECOND: u32 = 2;

/// Call GetAccount and, in turns, an empty rpc on the same server, and show the ratio.
///
/// Each turn lasts half a second. The empty rpc is grpc.health.v1.Health/Check.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) common: CommonArgs,

    /// Calls in flight, 1 to 4,096.
    #[arg(long, value_name = "COUNT", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=4_096))]
    in_flight: u64,

    /// Accounts that the queries are spread over, 1 to 100,000.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    accounts: u64,

    /// Duration of each of the two measurements, 1 to 3,000.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3_000))]
    seconds: u32,
}

/// Runs the benchmark.
pub(super) async fn measure(args: Args) -> anyhow::Result<BenchmarkResult> {
    let connection = &args.common.connection;
    let pool =
        ConnectionPool::open(&connection.target, connection.connections, RequiredServices::CommandsAndQueries).await?;
    let workload = Workload::new(args.accounts);
    let tokens = open_accounts(&pool, &workload).await?;
    wait_until_readable(&pool, &workload, &tokens).await?;
    let query = async |duration| {
        let pacer = Pacer::for_duration(duration);
        get_accounts(&pool, &workload, args.in_flight, &pacer).await
    };
    let call_empty = async |duration| empty_queries(&pool, args.in_flight, &Pacer::for_duration(duration)).await;
    query(connection.warm_up()).await?;
    let turns = Turns::split(Duration::from_secs(args.seconds.into()), args.seconds * TURNS_PER_SECOND);
    let (queries, empty_calls) = turns.run(query, call_empty).await?;
    let mut result = BenchmarkResult::new(Parameters {
        benchmark: "queries",
        mode: "unary",
        connections: connection.connections,
        in_flight: Some(args.in_flight),
        rate_per_second: None,
        accounts: args.accounts,
    });
    result.add_series("GetAccount", &queries);
    result.add_series("empty rpc (health check)", &empty_calls);
    result.set_ratio("GetAccount to empty rpc", &queries, &empty_calls);
    Ok(result)
}
