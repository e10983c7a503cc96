//! `diptych bench queries`.

use std::time::Duration;

use diptych_proto::ledger::query::v1::{GetAccountRequest, query_service_client::QueryServiceClient};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::{
    Common, lanes,
    limit::Limit,
    measured::Measured,
    prepare::{Channels, open_accounts},
    report::{Report, Setting},
    workload::{Workload, reason, with_deadline},
};
use crate::client::{RequiredServices, retry::QueryRetry, tokens::at_least_as_fresh};

/// How long one kind of call is made before it is the other's turn: short, so that both see the same machine.
const SLICE: Duration = Duration::from_millis(500);
/// How long to wait until the accounts of the run can be read.
const READABLE_PATIENCE: Duration = Duration::from_secs(30);

/// Calls GetAccount and, in turns of half a second, an empty rpc (grpc.health.v1.Health/Check) on the same server.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) common: Common,

    /// How many calls are unanswered at any time, 1 to 4,096.
    #[arg(long, value_name = "CALLS", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=4_096))]
    in_flight: u64,

    /// Over how many accounts the queries are spread, 1 to 100,000.
    #[arg(long, value_name = "ACCOUNTS", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    spread: u64,

    /// For how long to measure each of the two.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_000))]
    seconds: u64,
}

pub(super) async fn measure(args: Args) -> anyhow::Result<Report> {
    let channels =
        Channels::open(&args.common.target, args.common.connections, RequiredServices::CommandsAndQueries).await?;
    let workload = Workload::new(args.spread);
    let tokens = open_accounts(&channels, &workload).await?;
    wait_until_readable(&channels, &workload, &tokens).await?;
    let (mut queries, mut empty) = (Measured::new()?, Measured::new()?);
    let warm_up = Limit::time(args.common.warm_up());
    get_accounts(&args, &channels, &workload, &warm_up).await?;
    let limit = Duration::from_secs(args.seconds);
    while queries.elapsed() < limit {
        queries.absorb(&get_accounts(&args, &channels, &workload, &Limit::time(SLICE)).await?)?;
        empty.absorb(&check_health(&args, &channels, &Limit::time(SLICE)).await?)?;
    }
    let mut report = Report::new(Setting {
        what: "queries",
        mode: "unary",
        connections: args.common.connections,
        in_flight: Some(args.in_flight),
        rate_per_second: None,
        accounts: args.spread,
    });
    report.series("GetAccount", &queries);
    report.series("empty rpc (health check)", &empty);
    report.ratio("GetAccount to empty rpc", 0, 1);
    Ok(report)
}

/// The accounts were opened a moment ago; the measurement is about reading them, not about waiting for them.
async fn wait_until_readable(channels: &Channels, workload: &Workload, tokens: &[String]) -> anyhow::Result<()> {
    let client = QueryServiceClient::new(channels.first()?.queries);
    for token in tokens {
        let request = GetAccountRequest { account_id: workload.account(0), consistency: at_least_as_fresh(token) };
        let call = |request| {
            let mut client = client.clone();
            async move { client.get_account(request).await }
        };
        QueryRetry::new(READABLE_PATIENCE).call(request, call).await?;
    }
    Ok(())
}

async fn get_accounts(
    args: &Args,
    channels: &Channels,
    workload: &Workload,
    limit: &Limit,
) -> anyhow::Result<Measured> {
    let clients = channels.clients(args.in_flight, |link| QueryServiceClient::new(link.queries.clone()))?;
    lanes::run(clients, limit, |mut client| {
        async move |turn| {
            let request = GetAccountRequest { account_id: workload.account(turn), consistency: None };
            client.get_account(with_deadline(request)).await.map(drop).map_err(|status| reason(&status))
        }
    })
    .await
}

async fn check_health(args: &Args, channels: &Channels, limit: &Limit) -> anyhow::Result<Measured> {
    let clients = channels.clients(args.in_flight, |link| HealthClient::new(link.queries.clone()))?;
    lanes::run(clients, limit, |mut client| {
        async move |_| {
            let request = HealthCheckRequest { service: String::new() };
            client.check(with_deadline(request)).await.map(drop).map_err(|status| reason(&status))
        }
    })
    .await
}
