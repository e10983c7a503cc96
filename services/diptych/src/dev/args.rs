//! The flags of `diptych dev`.

use crate::process::{ProcessFlags, after_help};

/// Run everything in one process, with no server to install: commands, relay, projector and queries on embedded stores.
///
/// Without --data all data is in memory, and lost when the process ends. With --data it is stored in SQLite files in a
/// folder: acknowledged commands are on disk. For development and for small installations; there is no authentication,
/// so every client that reaches the address can send commands.
#[derive(Debug, clap::Args)]
#[command(after_long_help = after_help(EXAMPLES))]
pub(crate) struct Args {
    /// Folder to store data in, created if it does not exist; or "memory". Default: memory.
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    pub(super) data: Option<String>,

    /// Partitions of a new folder, 1 to 256; fixed once it exists. Default: 16.
    #[arg(long, value_name = "COUNT", help_heading = "Data")]
    pub(super) partitions: Option<String>,

    #[command(flatten)]
    pub(super) flags: ProcessFlags,
}

const EXAMPLES: &str = "\
Examples:
  diptych dev
  diptych dev --data ./data
  diptych dev --listen localhost:7402 --metrics localhost:7403
  diptych dev --listen 0.0.0.0:7400 --partitions 32 --data /var/lib/diptych
  diptych dev --dump-config > diptych.toml
  diptych dev --config diptych.toml
  DIPTYCH_GRPC__CONNECTIONS_MAX=64 diptych dev

Sections used: all but postgres, kafka, scylla, memcached.";
