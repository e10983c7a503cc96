//! `diptych bench commands`.

use std::time::Duration;

use super::{
    alternate::Turns,
    benchmark_result::{BenchmarkResult, Parameters},
    command_stream,
    common_args::CommonArgs,
    connection_pool::ConnectionPool,
    measurement::Measurement,
    open_accounts::open_accounts,
    own_write_client::Query,
    own_write_measurement::{OwnWriteMeasurement, run_pairs},
    pacer::Pacer,
    unary_calls,
    workload::Workload,
};
use crate::client::RequiredServices;

/// Turns of each side of a comparison.
pub(super) const TURNS: u32 = 5;
/// The largest number of queries in flight that wait until all commands are visible.
const VISIBLE_QUERIES_IN_FLIGHT_MAX: u64 = 64;

/// Send deposits or transfers of one minor unit, and measure the time from sending to the receipt.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) common: CommonArgs,

    /// Commands in flight, 1 to 65,536. One stream allows 1,024; use more --connections for more.
    #[arg(long, value_name = "COUNT", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    in_flight: u64,

    /// One call per command, or one stream per connection.
    #[arg(long, value_enum, default_value_t = Mode::Unary)]
    mode: Mode,

    /// Accounts that the commands are spread over, 1 to 100,000.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    accounts: u64,

    /// Further command services, such as a second process. The connections are spread over all of them.
    #[arg(long, value_name = "URL", conflicts_with = "until_visible")]
    also_to: Vec<String>,

    /// Send transfers between two of the accounts, in the place of deposits.
    #[arg(long, conflicts_with_all = ["hot", "compare_hot", "until_visible"])]
    transfers: bool,

    /// Exponent of Zipf's law by which the accounts of transfers are drawn, 0 to 10: 0 draws all alike, 1.5 the first
    /// in 38% of the cases.
    #[arg(long, value_name = "EXPONENT", requires = "transfers", default_value_t = 0.0, value_parser = parse_exponent)]
    zipf: f64,

    /// Send all commands to one account.
    #[arg(long, conflicts_with = "accounts")]
    hot: bool,

    /// Measure one hot account and --accounts accounts in turns, and show the ratio.
    #[arg(long, conflicts_with_all = ["hot", "count"])]
    compare_hot: bool,

    /// Duration of the measurement, 1 to 3,000; with --compare-hot, of each side.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_000))]
    seconds: u64,

    /// Commands to send, instead of --seconds.
    #[arg(long, value_name = "COUNT", conflicts_with = "seconds", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Largest number of commands per second, 1 to 1,000,000. Default: no limit.
    #[arg(long, value_name = "RATE", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rate: Option<u64>,

    /// After the last receipt, send one more deposit to each account and query it with its token: the longest of these
    /// queries shows how far the views were behind.
    #[arg(long, conflicts_with = "compare_hot")]
    until_visible: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Mode {
    /// One call per command.
    Unary,
    /// ExecuteCommands.
    Stream,
}

impl Args {
    /// The pacer of the measurement.
    fn pacer(&self) -> Pacer {
        match self.count {
            Some(count) => Pacer::for_calls(count).with_rate(self.rate),
            None => self.pacer_for(Duration::from_secs(self.seconds)),
        }
    }

    /// A pacer with the rate of the measurement that ends after this duration.
    fn pacer_for(&self, duration: Duration) -> Pacer {
        Pacer::for_duration(duration).with_rate(self.rate)
    }

    fn parameters(&self) -> Parameters {
        Parameters {
            benchmark: "commands",
            mode: if self.mode == Mode::Unary { "unary" } else { "stream" },
            connections: self.common.connection.connections,
            in_flight: Some(self.in_flight),
            rate_per_second: self.rate,
            accounts: if self.hot { 1 } else { self.accounts },
        }
    }
}

/// Runs the benchmark.
pub(super) async fn measure(args: Args) -> anyhow::Result<BenchmarkResult> {
    let connection = &args.common.connection;
    let required = if args.until_visible { RequiredServices::CommandsAndQueries } else { RequiredServices::Commands };
    let also = args.also_to.iter().map(|to| connection.target.with_address(to));
    let targets: Vec<_> = std::iter::once(connection.target.clone()).chain(also).collect();
    let pool = ConnectionPool::open_all(&targets, connection.connections, required).await?;
    let mut result = BenchmarkResult::new(args.parameters());
    if args.compare_hot {
        let (many, one) = (prepare(&args, &pool, args.accounts).await?, prepare(&args, &pool, 1).await?);
        let turns = Turns::split(Duration::from_secs(args.seconds), TURNS);
        let (many_accounts, one_account) = turns
            .run(
                async |duration| send(&args, &pool, &many, &args.pacer_for(duration)).await,
                async |duration| send(&args, &pool, &one, &args.pacer_for(duration)).await,
            )
            .await?;
        result.add_series(series_name(&many), &many_accounts);
        result.add_series(series_name(&one), &one_account);
        result.set_ratio("one hot account to many accounts", &one_account, &many_accounts);
        return Ok(result);
    }
    let workload = prepare(&args, &pool, if args.hot { 1 } else { args.accounts }).await?;
    let measurement = send(&args, &pool, &workload, &args.pacer()).await?;
    result.add_series(series_name(&workload), &measurement);
    if args.until_visible {
        let visible = measure_until_visible(&pool, &workload).await?;
        result.add_series("receipt to visible, after the last command", &visible.queries);
        result.set_stale_answers(visible.stale_count);
    }
    Ok(result)
}

/// Opens the accounts and warms up.
async fn prepare(args: &Args, pool: &ConnectionPool, accounts: u64) -> anyhow::Result<Workload> {
    let mut workload = Workload::new(accounts);
    if args.transfers {
        workload = workload.with_transfers(args.zipf);
    }
    open_accounts(pool, &workload).await?;
    send(args, pool, &workload, &args.pacer_for(args.common.connection.warm_up())).await?;
    Ok(workload)
}

fn parse_exponent(text: &str) -> Result<f64, String> {
    let exponent: f64 = text.parse().map_err(|_| format!("{text:?} is not a number such as 1.5"))?;
    if (0.0..=10.0).contains(&exponent) { Ok(exponent) } else { Err(format!("{exponent} is not in the range 0 to 10")) }
}

fn series_name(workload: &Workload) -> &'static str {
    if workload.account_ids().len() == 1 { "commands, one hot account" } else { "commands, many accounts" }
}

/// Sends one more deposit to each account, and a query with its token. That queries all partitions at once, so the
/// longest answer shows how far the views were behind.
async fn measure_until_visible(pool: &ConnectionPool, workload: &Workload) -> anyhow::Result<OwnWriteMeasurement> {
    let accounts = workload.account_ids().len() as u64;
    let in_flight = VISIBLE_QUERIES_IN_FLIGHT_MAX.min(accounts);
    run_pairs(pool, workload, in_flight, Query::Account, &Pacer::for_calls(accounts)).await
}

async fn send(args: &Args, pool: &ConnectionPool, workload: &Workload, pacer: &Pacer) -> anyhow::Result<Measurement> {
    match args.mode {
        Mode::Unary => unary_calls::commands(pool, workload, args.in_flight, pacer, &drop).await,
        Mode::Stream => command_stream::run(pool, workload, args.in_flight, pacer, &drop).await,
    }
}
