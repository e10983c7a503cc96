//! `diptych bench own-writes`.

use std::{cell::RefCell, time::Duration};

use tokio::time::Instant;

use super::{
    Common, lanes,
    limit::Limit,
    prepare::{Channels, open_accounts},
    report::{Report, Setting},
    visible::{Both, Query, Visible},
    workload::Workload,
};
use crate::client::RequiredServices;

/// Deposits, each followed at once by a query with the token of its receipt. Counts answers that show the deposit,
/// answers that do not, and errors.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) common: Common,

    /// How many pairs are under way at any time, 1 to 1,024.
    #[arg(long, value_name = "PAIRS", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=1_024))]
    in_flight: u64,

    /// Over how many accounts the commands are spread, 1 to 100,000.
    #[arg(long, value_name = "ACCOUNTS", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    spread: u64,

    /// All commands go to one account.
    #[arg(long, conflicts_with = "spread")]
    hot: bool,

    /// What is asked after each command.
    #[arg(long, value_enum, default_value_t = Query::Account)]
    query: Query,

    /// How many pairs.
    #[arg(long, value_name = "PAIRS", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
}

pub(super) async fn measure(args: Args) -> anyhow::Result<Report> {
    let channels =
        Channels::open(&args.common.target, args.common.connections, RequiredServices::CommandsAndQueries).await?;
    let accounts = if args.hot { 1 } else { args.spread };
    let workload = Workload::new(accounts);
    open_accounts(&channels, &workload).await?;
    let run = async |limit| pairs(&channels, &workload, args.in_flight, args.query, &limit).await;
    run(Limit::time(args.common.warm_up())).await?;
    let visible = run(Limit::turns(args.count)).await?;
    let mut report = Report::new(Setting {
        what: "own-writes",
        mode: "unary",
        connections: args.common.connections,
        in_flight: Some(args.in_flight),
        rate_per_second: None,
        accounts,
    });
    report.series("commands", &visible.commands);
    report.series("fresh answers", &visible.queries);
    report.stale(visible.stale);
    Ok(report)
}

/// Pairs of a deposit and a query with its token, so many at a time.
pub(super) async fn pairs(
    channels: &Channels,
    workload: &Workload,
    in_flight: u64,
    query: Query,
    limit: &Limit,
) -> anyhow::Result<Visible> {
    let visible = RefCell::new(Visible::new()?);
    let clients = channels.clients(in_flight, Both::new)?;
    let pairs = lanes::run(clients, limit, |mut both| {
        let visible = &visible;
        async move |turn| {
            let account_id = workload.account(turn);
            let outcome = both.deposit_and_ask(workload, account_id, query, Instant::now()).await;
            visible.borrow_mut().add(&outcome);
            outcome.failure().map_or(Ok(()), |reason| Err(reason.to_owned()))
        }
    })
    .await?;
    let mut visible = visible.into_inner();
    visible.lasted(pairs.elapsed());
    Ok(visible)
}

impl Visible {
    /// For how long it was measured.
    pub(super) fn lasted(&mut self, elapsed: Duration) {
        self.commands.lasted(elapsed);
        self.queries.lasted(elapsed);
    }
}
