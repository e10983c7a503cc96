//! The flags of `diptych dev`.

use std::{ffi::OsString, path::PathBuf};

use crate::config::{Flag, Sources};

/// Runs everything in one process, with no server to install: commands, relay, projector and queries on embedded stores.
///
/// In memory without --data: all is gone when the process ends. With --data it is kept in SQLite files in a folder: what was
/// acknowledged is on disk. For development and for small installations; there is no authentication, so everybody who reaches the
/// address may send commands.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Where data is kept: a folder, made where it is missing, or "memory".
    #[arg(long, value_name = "DIR")]
    data: Option<String>,

    /// Where gRPC is served. Default 127.0.0.1:7400; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,

    /// Where metrics are served, at /metrics. Default 127.0.0.1:7401.
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<String>,

    /// How many partitions a new folder gets, 1 to 256. Fixed from then on. Default 16.
    #[arg(long, value_name = "COUNT")]
    partitions: Option<String>,

    /// What is logged, such as "info" or "info,diptych_relay=debug". Default info.
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,

    /// A TOML file with settings.
    #[arg(long, value_name = "FILE", env = "DIPTYCH_CONFIG")]
    config: Option<PathBuf>,

    /// Prints the settings as they are now, with where each comes from, and ends. What is printed is a file for --config.
    #[arg(long)]
    pub(super) dump_config: bool,
}

const AFTER_HELP: &str = "\
Examples:
  diptych dev
  diptych dev --data ./data
  diptych dev --listen 0.0.0.0:7400 --partitions 32 --data /var/lib/diptych
  diptych dev --dump-config > diptych.toml
  diptych dev --config diptych.toml
  DIPTYCH_GRPC__CONNECTIONS_MAX=64 diptych dev

Settings come from defaults, then the file, then variables of the
environment (DIPTYCH_, with __ between the parts of a key), then flags; the
later one wins. All mistakes are told at once.

The log goes to standard error: text on a terminal, JSON otherwise.

Stops in order on SIGINT (Ctrl-C) or SIGTERM: takes no new calls, answers
those it has, and closes. A second signal exits at once.

Exit status: 0 stopped in order; 1 something failed; 2 a mistake in flags or
settings, nothing was started; 130 cut off by a second signal.";

impl Args {
    /// What the configuration is read from.
    pub(super) fn into_sources(self, environment: impl Iterator<Item = (OsString, OsString)>) -> Sources {
        let flags = [
            ("data", "--data", self.data),
            ("listen", "--listen", self.listen),
            ("metrics_listen", "--metrics", self.metrics),
            ("partitions", "--partitions", self.partitions),
            ("log.filter", "--log", self.log),
        ];
        let flags = flags.into_iter().filter_map(|(key, name, value)| Some(Flag { key, name, value: value? }));
        // What is not text is none of this product's variables, or is told to be a mistake by its replacement characters.
        let environment = environment
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()));
        Sources { file: self.config, environment: environment.collect(), flags: flags.collect() }
    }
}
