//! The flags of the report.

#[cfg(feature = "servers")]
use std::path::PathBuf;

use serde::Serialize;

use crate::bench::common_args::ConnectionArgs;
#[cfg(feature = "servers")]
use crate::{config::Sources, process::PostgresFlag};

/// Accounts that the calls are spread over.
pub(super) const ACCOUNTS: u64 = 1_000;

/// Measure the figures of the README, each compared with another from the same run, and show the ratios.
///
/// Rates of calls are compared with a limit, which is what the same machine does with less work: calls of an empty rpc,
/// or a bare batched INSERT. Other figures are compared with a measurement of the same kind, such as one hot account
/// with many accounts. Rates are measured in turns with their comparison, so that other load on the machine affects
/// both; the whole pipeline is measured once. The report says what each figure counts. It takes about two minutes, and
/// longer if the views are slower than the commands.
///
/// The bare INSERT needs the write database of the measured server: --postgres, DIPTYCH_POSTGRES__URL, or a settings
/// file. It creates tables of its own there (diptych_bench_*) and drops them at the end, also after Ctrl-C or SIGTERM.
/// If the INSERT cannot be prepared, commands by stream are not compared, and the report says why.
///
/// The accounts and deposits of a report stay in the databases: measure an installation that is made for it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(in crate::bench) struct Args {
    #[command(flatten)]
    pub(super) load: LoadArgs,

    /// Output format.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = ReportFormat::Text)]
    pub(super) output: ReportFormat,

    #[cfg(feature = "servers")]
    #[command(flatten)]
    pub(super) settings: SettingsArgs,
}

/// The flags of the load.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct LoadArgs {
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,

    /// Duration of each measurement, 1 to 600.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(super) seconds: u32,

    /// Unary calls in flight, 1 to 1,024.
    #[arg(long, value_name = "COUNT", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1_024))]
    pub(super) in_flight: u64,

    /// Commands in flight by stream, 1 to 65,536. One stream allows 1,024; use more --connections for more.
    #[arg(long, value_name = "COUNT", default_value_t = 1_024, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    pub(super) stream_in_flight: u64,

    /// Commands per second for the time from receipt to visible, 1 to 100,000.
    #[arg(long, value_name = "RATE", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(super) rate: u64,
}

#[cfg(feature = "servers")]
/// The flags for the settings of the write database.
#[derive(Debug, clap::Args)]
pub(super) struct SettingsArgs {
    /// TOML file with settings.
    #[arg(long, value_name = "FILE", env = "DIPTYCH_CONFIG")]
    config: Option<PathBuf>,

    #[command(flatten)]
    postgres: PostgresFlag,
}

const AFTER_HELP: &str = "\
Examples:
  diptych bench report
  diptych bench report --to http://127.0.0.1:7400 --output markdown > figures.md
  diptych bench report --postgres postgres://diptych@db/diptych --seconds 30 --output json

Progress goes to standard error, the report to standard output.

Exit status: 0 success; 1 a call failed, an answer was stale, or a server could
not be reached; 2 invalid flags or settings, nothing was measured.";

/// The format of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ReportFormat {
    /// A table for people.
    Text,
    /// One JSON object on standard output.
    Json,
    /// A line and a table for a Markdown page.
    Markdown,
}

/// The parameters of a report.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ReportParameters {
    pub(super) seconds: u32,
    pub(super) connections: u64,
    pub(super) in_flight: u64,
    pub(super) stream_in_flight: u64,
    pub(super) rate_per_second: u64,
    pub(super) accounts: u64,
}

#[cfg(feature = "servers")]
impl SettingsArgs {
    /// The sources of the settings.
    pub(super) fn into_sources(self) -> Sources {
        Sources::of_process(self.config, self.postgres.setting())
    }
}

impl LoadArgs {
    /// The parameters that the report shows.
    pub(super) fn parameters(&self) -> ReportParameters {
        ReportParameters {
            seconds: self.seconds,
            connections: self.connection.connections,
            in_flight: self.in_flight,
            stream_in_flight: self.stream_in_flight,
            rate_per_second: self.rate,
            accounts: ACCOUNTS,
        }
    }
}
