//! Flags that several subcommands share.

use std::{path::PathBuf, process::ExitCode};

use tokio::net::TcpListener;

use super::{
    context::{ProcessContext, Running},
    role::Role,
    run::main,
};
use crate::config::{Flag, Sources};

/// Sources of the settings.
#[derive(Debug, clap::Args)]
pub(crate) struct SettingsFlags {
    /// TOML file with settings.
    #[arg(long, value_name = "FILE", env = "DIPTYCH_CONFIG", help_heading = SETTINGS)]
    config: Option<PathBuf>,

    /// Log filter, such as "info" or "info,diptych_relay=debug". Default: info.
    #[arg(long, value_name = "FILTER", help_heading = SETTINGS)]
    log: Option<String>,

    /// Print all settings with their meaning, value and source, and exit. The output is a file for --config.
    #[arg(long, help_heading = SETTINGS)]
    dump_config: bool,
}

/// The flags of every process that serves.
#[derive(Debug, clap::Args)]
pub(crate) struct ProcessFlags {
    /// Address to serve gRPC at. Default: 127.0.0.1:7400; port 0 takes a free port.
    #[arg(long, value_name = "HOST:PORT", help_heading = PROCESS)]
    listen: Option<String>,

    /// Address to serve metrics at, under /metrics. Default: 127.0.0.1:7401.
    #[arg(long, value_name = "HOST:PORT", help_heading = PROCESS)]
    metrics: Option<String>,

    #[command(flatten)]
    settings: SettingsFlags,
}

#[cfg(feature = "servers")]
/// The flags of a process that uses servers.
#[derive(Debug, clap::Args)]
pub(crate) struct ServiceFlags {
    #[command(flatten)]
    process: ProcessFlags,

    /// Name of this process, unique and the same after a restart. Default: host name, role and port.
    #[arg(long, value_name = "NAME", help_heading = PROCESS)]
    instance: Option<String>,
}

const PROCESS: &str = "Process";
const SETTINGS: &str = "Settings";

const HELP_ON_SETTINGS: &str = "\
Settings come from defaults, the settings file, environment variables
(DIPTYCH_GRPC__CONNECTIONS_MAX for grpc.connections_max) and flags; a later
source wins. All problems are reported together. One file serves all
subcommands. `diptych settings` lists every setting with its meaning.";

const HELP_ON_EXIT: &str = "\
The log goes to standard error: text on a terminal, JSON otherwise.

SIGINT (Ctrl-C) or SIGTERM stops the process gracefully: it takes no new
calls, answers those in flight, and closes. A second signal exits at once.

Exit status: 0 stopped gracefully; 1 something failed; 2 invalid flags or
settings, nothing was started; 130 stopped by a second signal.";

/// The end of the help of a process that serves: its own examples and facts, then what is common to all.
pub(crate) fn after_help(own: &str) -> String {
    format!("{own}\n\n{HELP_ON_SETTINGS}\n\n{HELP_ON_EXIT}")
}

impl SettingsFlags {
    /// Returns whether the settings are only to be printed.
    pub(crate) fn dumps_config(&self) -> bool {
        self.dump_config
    }

    /// The sources of the configuration, with further flags of the subcommand.
    pub(crate) fn into_sources(self, others: impl IntoIterator<Item = Option<Flag>>) -> Sources {
        let log = Flag::new("log.filter", "--log", self.log);
        Sources::of_process(self.config, others.into_iter().chain([log]).flatten())
    }
}

impl ProcessFlags {
    /// Runs what `start` starts until a signal comes, configured by these and further flags.
    pub(crate) fn run(
        self,
        role: Role,
        others: impl IntoIterator<Item = Option<Flag>>,
        start: impl AsyncFnOnce(&ProcessContext, TcpListener) -> anyhow::Result<Running>,
    ) -> anyhow::Result<ExitCode> {
        let own =
            [Flag::new("listen", "--listen", self.listen), Flag::new("metrics_listen", "--metrics", self.metrics)];
        let dumps_config = self.settings.dumps_config();
        let sources = self.settings.into_sources(own.into_iter().chain(others));
        main(role, sources, dumps_config, start)
    }
}

#[cfg(feature = "servers")]
impl ServiceFlags {
    /// As [`ProcessFlags::run`].
    pub(crate) fn run(
        self,
        role: Role,
        others: impl IntoIterator<Item = Option<Flag>>,
        start: impl AsyncFnOnce(&ProcessContext, TcpListener) -> anyhow::Result<Running>,
    ) -> anyhow::Result<ExitCode> {
        let instance = Flag::new("instance", "--instance", self.instance);
        self.process.run(role, others.into_iter().chain([instance]), start)
    }
}
