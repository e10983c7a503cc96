//! `diptych bench lag`.

use std::time::Duration;

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::time::{MissedTickBehavior, interval};

use super::{
    Common,
    prepare::{Channels, open_accounts},
    report::{Report, Setting},
    schedule::Schedule,
    visible::{Both, Query, Visible},
    workload::Workload,
};
use crate::client::RequiredServices;

/// How often it is looked which commands are due. The timer knows nothing finer.
const TICK: Duration = Duration::from_millis(1);

/// Sends deposits at a fixed rate, whatever the answers do, and asks for each with the token of its receipt. The lag is
/// from the receipt to the answer that shows the deposit.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) common: Common,

    /// How many commands per second, 1 to 100,000.
    #[arg(long, value_name = "COMMANDS", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rate: u64,

    /// How many may be unanswered. Commands that are due while so many are unanswered are not sent, and counted as
    /// late.
    #[arg(long, value_name = "COMMANDS", default_value_t = 1_024, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    in_flight: u64,

    /// Over how many accounts the commands are spread, 1 to 100,000.
    #[arg(long, value_name = "ACCOUNTS", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    spread: u64,

    /// For how long to measure.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_000))]
    seconds: u64,
}

pub(super) async fn measure(args: Args) -> anyhow::Result<Report> {
    let channels =
        Channels::open(&args.common.target, args.common.connections, RequiredServices::CommandsAndQueries).await?;
    let workload = Workload::new(args.spread);
    open_accounts(&channels, &workload).await?;
    let clients = channels.clients(args.common.connections, Both::new)?;
    run(&args, &clients, &workload, args.common.warm_up()).await?;
    let (visible, late) = run(&args, &clients, &workload, Duration::from_secs(args.seconds)).await?;
    let mut report = Report::new(Setting {
        what: "lag",
        mode: "unary",
        connections: args.common.connections,
        in_flight: None,
        rate_per_second: Some(args.rate),
        accounts: args.spread,
    });
    report.series("commands, from due to receipt", &visible.commands);
    report.series("receipt to visible", &visible.queries);
    report.stale(visible.stale);
    report.late(late);
    Ok(report)
}

/// Sends what is due until the time is over, then waits for the answers. Returns too how many were late.
async fn run(args: &Args, clients: &[Both], workload: &Workload, duration: Duration) -> anyhow::Result<(Visible, u64)> {
    let mut visible = Visible::new()?;
    let schedule = Schedule::begin(args.rate);
    let due_in_all = schedule.due(duration);
    let in_flight_max = usize::try_from(args.in_flight)?;
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut under_way = FuturesUnordered::new();
    let mut clients = clients.iter().cycle();
    let (mut number, mut late) = (0, 0);
    while number < due_in_all || !under_way.is_empty() {
        tokio::select! {
            _ = ticks.tick(), if number < due_in_all => {
                let due = schedule.due(schedule.elapsed()).min(due_in_all);
                for command in number..due {
                    let Some(client) = clients.next().filter(|_| under_way.len() < in_flight_max) else {
                        late += 1;
                        continue;
                    };
                    let mut client = client.clone();
                    let (account_id, planned_at) = (workload.account(command), schedule.planned_at(command));
                    under_way.push(async move {
                        client.deposit_and_ask(workload, account_id, Query::Account, planned_at).await
                    });
                }
                number = due;
            }
            Some(outcome) = under_way.next(), if !under_way.is_empty() => visible.add(&outcome),
        }
    }
    visible.lasted(schedule.elapsed());
    Ok((visible, late))
}
