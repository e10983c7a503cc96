//! The flags that every process which serves has.

use std::path::PathBuf;

use crate::config::{Flag, Sources};

/// Where it listens, what it is called, and where its settings come from.
#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    /// Where gRPC is served. Default 127.0.0.1:7400; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,

    /// Where metrics are served, at /metrics. Default 127.0.0.1:7401.
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<String>,

    /// What is logged, such as "info" or "info,diptych_relay=debug". Default info.
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,

    /// A TOML file with settings.
    #[arg(long, value_name = "FILE", env = "DIPTYCH_CONFIG")]
    config: Option<PathBuf>,

    /// Prints the settings as they are now, with where each comes from, and ends. What is printed is a file for --config.
    #[arg(long)]
    dump_config: bool,
}

/// The flags of a process beside real servers.
#[derive(Debug, clap::Args)]
pub(crate) struct ServiceFlags {
    #[command(flatten)]
    flags: Flags,

    /// The name of this process: its own, and the same after a restart. Default: the machine, the role and the port.
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,

    #[command(flatten)]
    servers: ServerFlags,
}

/// Where the servers are.
#[derive(Debug, clap::Args)]
pub(crate) struct ServerFlags {
    /// Postgres: postgres://user:password@host:5432/database. Everybody on the machine sees flags: a password is better given by
    /// DIPTYCH_POSTGRES__URL or in a file.
    #[arg(long, value_name = "URL", help_heading = SERVERS)]
    postgres: Option<String>,

    /// Kafka: host:port of a broker, several separated by commas.
    #[arg(long, value_name = "SERVERS", help_heading = SERVERS)]
    kafka: Option<String>,

    /// ScyllaDB: host:port of a node, several separated by commas.
    #[arg(long, value_name = "SERVERS", help_heading = SERVERS)]
    scylla: Option<String>,

    /// Memcached: host:port of every server, separated by commas.
    #[arg(long, value_name = "SERVERS", help_heading = SERVERS)]
    memcached: Option<String>,
}

const SERVERS: &str = "Servers";

const SETTINGS: &str = "\
Settings come from defaults, then the file, then variables of the
environment (DIPTYCH_, with __ between the parts of a key), then flags; the
later one wins. All mistakes are told at once. One file does for all
subcommands: each reads what concerns it.";

const ENDING: &str = "\
The log goes to standard error: text on a terminal, JSON otherwise.

Stops in order on SIGINT (Ctrl-C) or SIGTERM: takes no new calls, answers
those it has, and closes. A second signal exits at once.

Exit status: 0 stopped in order; 1 something failed; 2 a mistake in flags or
settings, nothing was started; 130 cut off by a second signal.";

/// The end of the help of a process that serves: examples and what belongs to this one, then what is the same for all.
pub(crate) fn after_help(own: &str) -> String {
    format!("{own}\n\n{SETTINGS}\n\n{ENDING}")
}

impl Flags {
    /// Whether the settings are only to be printed.
    pub(crate) fn dumps_config(&self) -> bool {
        self.dump_config
    }

    /// What the configuration is read from, with the flags that a subcommand has beside these.
    pub(crate) fn into_sources(self, others: impl IntoIterator<Item = Option<Flag>>) -> Sources {
        let own = [
            Flag::given("listen", "--listen", self.listen),
            Flag::given("metrics_listen", "--metrics", self.metrics),
            Flag::given("log.filter", "--log", self.log),
        ];
        Sources::of_process(self.config, own.into_iter().chain(others).flatten())
    }
}

impl ServiceFlags {
    /// Whether the settings are only to be printed.
    pub(crate) fn dumps_config(&self) -> bool {
        self.flags.dumps_config()
    }

    /// What the configuration is read from, with the flags that a subcommand has beside these.
    pub(crate) fn into_sources(self, others: impl IntoIterator<Item = Option<Flag>>) -> Sources {
        let instance = Flag::given("instance", "--instance", self.instance);
        self.flags.into_sources(self.servers.into_flags().chain([instance]).chain(others))
    }
}

impl ServerFlags {
    /// The settings that they are.
    pub(crate) fn into_flags(self) -> impl Iterator<Item = Option<Flag>> {
        [
            Flag::given("postgres.url", "--postgres", self.postgres),
            Flag::given("kafka.bootstrap_servers", "--kafka", self.kafka),
            Flag::given("scylla.contact_points", "--scylla", self.scylla),
            Flag::given("memcached.servers", "--memcached", self.memcached),
        ]
        .into_iter()
    }
}
