//! The flags of the report.

use std::path::PathBuf;

use serde::Serialize;

use crate::{bench::common_args::ConnectionArgs, config::Sources, process::PostgresFlag};

/// Accounts that the calls are spread over.
pub(super) const ACCOUNTS: u64 = 1_000;

/// Measure all figures that Diptych publishes, each beside its limit in the same run, and show the ratios.
///
/// A limit is what the same machine does without Diptych: empty calls, or a bare batched INSERT. A figure and its limit
/// are measured in turns, so that other load on the machine affects both. A report takes about two minutes, and longer
/// if the views are slower than the commands.
///
/// The bare INSERT needs the write database of the measured server: --postgres, DIPTYCH_POSTGRES__URL, or a settings
/// file. It creates tables of its own there (diptych_bench_*) and drops them at the end.
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
