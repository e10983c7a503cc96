//! `diptych bench commands`.

use std::time::Duration;

use diptych_proto::ledger::command::v1::command_service_client::CommandServiceClient;

use super::{
    Common, lanes,
    limit::Limit,
    measured::Measured,
    own_writes,
    prepare::{Channels, open_accounts},
    report::{Report, Setting},
    stream,
    visible::{Query, Visible},
    workload::{Workload, reason, with_deadline},
};
use crate::client::RequiredServices;

/// Into how many turns each side of a comparison is cut, so that both see the same machine.
const ROUNDS: u32 = 5;
/// How many ask at once how far the views are behind.
const LANES_UNTIL_VISIBLE: u64 = 64;

/// Sends deposits of one minor unit and measures from sending to the receipt.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) common: Common,

    /// How many commands are unanswered at any time, 1 to 65,536. A stream takes 1,024; use more connections for more.
    #[arg(long, value_name = "COMMANDS", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    in_flight: u64,

    /// One call per command, or one stream per connection.
    #[arg(long, value_enum, default_value_t = Mode::Unary)]
    mode: Mode,

    /// Over how many accounts the commands are spread, 1 to 100,000.
    #[arg(long, value_name = "ACCOUNTS", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    spread: u64,

    /// All commands go to one account.
    #[arg(long, conflicts_with = "spread")]
    hot: bool,

    /// Measures both in turns, one hot account and --spread accounts, and shows the ratio.
    #[arg(long, conflicts_with_all = ["hot", "count"])]
    compare_hot: bool,

    /// For how long to measure; each side for so long with --compare-hot.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_000))]
    seconds: u64,

    /// How many commands to send, instead of --seconds.
    #[arg(long, value_name = "COMMANDS", conflicts_with = "seconds", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// At most how many commands per second, 1 to 1,000,000. Default: as many as are answered.
    #[arg(long, value_name = "COMMANDS", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rate: Option<u64>,

    /// Asks, as soon as the last command is answered, for each account with the token of one more deposit: how far the
    /// views were behind.
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
    fn limit(&self) -> Limit {
        match self.count {
            Some(count) => Limit::turns(count),
            None => Limit::time(Duration::from_secs(self.seconds)),
        }
        .paced(self.rate)
    }
}

pub(super) async fn measure(args: Args) -> anyhow::Result<Report> {
    let required = if args.until_visible { RequiredServices::CommandsAndQueries } else { RequiredServices::Commands };
    let channels = Channels::open(&args.common.target, args.common.connections, required).await?;
    let setting = Setting {
        what: "commands",
        mode: if args.mode == Mode::Unary { "unary" } else { "stream" },
        connections: args.common.connections,
        in_flight: Some(args.in_flight),
        rate_per_second: args.rate,
        accounts: if args.hot { 1 } else { args.spread },
    };
    let sides: &[u64] = match (args.compare_hot, args.hot) {
        (true, _) => &[args.spread, 1],
        (false, true) => &[1],
        (false, false) => &[args.spread],
    };
    let mut workloads = Vec::new();
    for accounts in sides {
        let workload = Workload::new(*accounts);
        open_accounts(&channels, &workload).await?;
        send(&args, &channels, &workload, &Limit::time(args.common.warm_up()).paced(args.rate)).await?;
        workloads.push((workload, Measured::new()?));
    }
    if args.compare_hot {
        let slice = Duration::from_secs(args.seconds) / ROUNDS;
        for _ in 0..ROUNDS {
            for (workload, measured) in &mut workloads {
                measured.absorb(&send(&args, &channels, workload, &Limit::time(slice).paced(args.rate)).await?)?;
            }
        }
    } else {
        for (workload, measured) in &mut workloads {
            measured.absorb(&send(&args, &channels, workload, &args.limit()).await?)?;
        }
    }
    let behind = match workloads.first() {
        Some((workload, _)) if args.until_visible => Some(until_visible(&channels, workload).await?),
        _ => None,
    };
    let mut report = Report::new(setting);
    for (workload, measured) in &workloads {
        let name = if workload.accounts().len() == 1 { "commands, one hot account" } else { "commands, spread" };
        report.series(name, measured);
    }
    if args.compare_hot {
        report.ratio("hot to spread", 1, 0);
    }
    if let Some(behind) = behind {
        report.series("then, receipt to visible", &behind.queries);
        report.stale(behind.stale);
    }
    Ok(report)
}

/// One more deposit on each account, and a query with its token: all partitions are asked for at once, so the longest
/// answer says how far the views were behind.
async fn until_visible(channels: &Channels, workload: &Workload) -> anyhow::Result<Visible> {
    let lanes = LANES_UNTIL_VISIBLE.min(workload.accounts().len() as u64);
    own_writes::pairs(channels, workload, lanes, Query::Account, &Limit::turns(workload.accounts().len() as u64)).await
}

async fn send(args: &Args, channels: &Channels, workload: &Workload, limit: &Limit) -> anyhow::Result<Measured> {
    if args.mode == Mode::Stream {
        return stream::run(channels, workload, args.in_flight, limit).await;
    }
    let clients = channels.clients(args.in_flight, |link| CommandServiceClient::new(link.commands.clone()))?;
    lanes::run(clients, limit, |mut client| {
        async move |turn| {
            let deposit = workload.deposit(workload.account(turn));
            client.deposit(with_deadline(deposit)).await.map(drop).map_err(|status| reason(&status))
        }
    })
    .await
}
