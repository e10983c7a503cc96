//! The flags of `diptych dev`.

use crate::{
    config::{Flag, Sources},
    process::{Flags, after_help},
};

/// Runs everything in one process, with no server to install: commands, relay, projector and queries on embedded stores.
///
/// In memory without --data: all is gone when the process ends. With --data it is kept in SQLite files in a folder: what was
/// acknowledged is on disk. For development and for small installations; there is no authentication, so everybody who reaches the
/// address may send commands.
#[derive(Debug, clap::Args)]
#[command(after_long_help = after_help(EXAMPLES))]
pub(crate) struct Args {
    /// Where data is kept: a folder, made where it is missing, or "memory".
    #[arg(long, value_name = "DIR")]
    data: Option<String>,

    /// How many partitions a new folder gets, 1 to 256. Fixed from then on. Default 16.
    #[arg(long, value_name = "COUNT")]
    partitions: Option<String>,

    #[command(flatten)]
    flags: Flags,
}

const EXAMPLES: &str = "\
Examples:
  diptych dev
  diptych dev --data ./data
  diptych dev --listen 0.0.0.0:7400 --partitions 32 --data /var/lib/diptych
  diptych dev --dump-config > diptych.toml
  diptych dev --config diptych.toml
  DIPTYCH_GRPC__CONNECTIONS_MAX=64 diptych dev";

impl Args {
    pub(super) fn dumps_config(&self) -> bool {
        self.flags.dumps_config()
    }

    /// What the configuration is read from.
    pub(super) fn into_sources(self) -> Sources {
        self.flags.into_sources([
            Flag::given("data", "--data", self.data),
            Flag::given("partitions", "--partitions", self.partitions),
        ])
    }
}
