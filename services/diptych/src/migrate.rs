//! `diptych migrate`: makes what the servers must have before the services can start.

use std::{fmt, path::PathBuf, process::ExitCode, time::Duration};

use diptych_kernel::{
    Partitions,
    ports::{PortError, PortResult, Remedy, ViewStore},
};
use diptych_projector::STREAM_VERSIONS;
use diptych_runtime::{Backoff, pause, telemetry};
use diptych_scylla::ScyllaViewStore;
use tokio::time::Instant;

use crate::{
    config::{Config, Flag, Sources},
    parts,
    process::{self, ServerFlags},
    servers,
};

/// The exit status where only a person can help.
const EXIT_OPERATOR: u8 = 3;

const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Makes the tables in Postgres, the topic in Kafka, and the keyspace and the tables of all views in ScyllaDB, or brings them up to
/// date.
///
/// What is there already is left as it is, so it can be repeated, and several may run at the same time. The number of partitions is
/// fixed by the first run, and checked by every later one.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Args {
    /// How many partitions a new installation gets, 1 to 256. Fixed from then on. Default 16.
    #[arg(long, value_name = "COUNT")]
    partitions: Option<String>,

    /// How many seconds to go on while a server cannot be reached, 0 to 86,400.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(..=86_400))]
    patience: u64,

    /// A TOML file with settings.
    #[arg(long, value_name = "FILE", env = "DIPTYCH_CONFIG")]
    config: Option<PathBuf>,

    /// What is logged on standard error. Default info.
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,

    /// Prints the settings as they are now, with where each comes from, and ends.
    #[arg(long)]
    dump_config: bool,

    #[command(flatten)]
    servers: ServerFlags,
}

const AFTER_HELP: &str = "\
Examples:
  diptych migrate --config diptych.toml
  diptych migrate --postgres postgres://diptych@db/diptych --kafka kafka:9092 --scylla scylla:9042 --partitions 32
  DIPTYCH_KAFKA__REPLICATION_FACTOR=1 DIPTYCH_SCYLLA__REPLICATION_FACTOR=1 diptych migrate      one node of each

The database itself must be there (CREATE DATABASE). Replication is that of
kafka.replication_factor and scylla.replication_factor where topic and
keyspace are made, and is left as it is where they are there.

Exit status: 0 all is up to date; 1 a server could not be reached or did not
finish within --patience: run it again; 2 a mistake in flags or settings,
nothing was done; 3 only a person can help, standard error says what to do.";

/// Something that a server must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The tables of the write database.
    Postgres,
    /// The topic of the events.
    Kafka,
    /// The keyspace of the views.
    Keyspace,
    /// The tables of all views.
    Views,
}

impl Step {
    /// In the order of the data.
    pub(crate) const ALL: [Self; 4] = [Self::Postgres, Self::Kafka, Self::Keyspace, Self::Views];

    /// Does it, where it is not done yet; returns what was done.
    ///
    /// # Errors
    /// As its adapter says.
    pub(crate) async fn run(self, config: &Config) -> PortResult<String> {
        let count = config.partitions.u16();
        let partitions = Partitions::new(count).map_err(|error| PortError::operator(error.to_string()))?;
        match self {
            Self::Postgres => {
                let migrated =
                    diptych_postgres::migrate(&servers::postgres_config(config, "migrate"), partitions).await?;
                Ok(done(migrated.applied, migrated.version))
            }
            Self::Kafka => {
                diptych_kafka::ensure_topic(&(&config.kafka).into(), partitions).await?;
                Ok(format!("{} is there with {count} partitions", config.kafka.topic))
            }
            Self::Keyspace => {
                let migrated = diptych_scylla::migrate(&(&config.scylla).into(), partitions).await?;
                Ok(done(migrated.applied, migrated.version))
            }
            Self::Views => {
                let views = ScyllaViewStore::open((&config.scylla).into(), partitions).await?;
                let mut ids = parts::view_ids();
                ids.push(STREAM_VERSIONS);
                views.ensure_views(&ids).await?;
                let names: Vec<_> = ids.iter().map(ToString::to_string).collect();
                Ok(format!("{} are there", names.join(", ")))
            }
        }
    }
}

fn done(applied: usize, version: usize) -> String {
    match applied {
        0 => format!("up to date at version {version}"),
        1 => format!("1 migration applied, now at version {version}"),
        count => format!("{count} migrations applied, now at version {version}"),
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres => "tables in Postgres",
            Self::Kafka => "topic in Kafka",
            Self::Keyspace => "keyspace in ScyllaDB",
            Self::Views => "views in ScyllaDB",
        })
    }
}

/// Does all steps, each until it is done or patience is at its end.
pub(crate) fn main(args: Args) -> anyhow::Result<ExitCode> {
    let (dump_config, patience) = (args.dump_config, Duration::from_secs(args.patience));
    let config = match process::configuration(args.into_sources(), dump_config)? {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    telemetry::install_logs(&config.log.settings(vec![("role", "migrate".to_owned())]))?;
    crate::tool(run(config, patience))
}

async fn run(config: Config, patience: Duration) -> anyhow::Result<ExitCode> {
    let until = Instant::now() + patience;
    for step in Step::ALL {
        match with_patience(step, &config, until).await {
            Ok(done) => println!("{:<22}{done}", step.to_string()),
            Err(error) => {
                eprintln!("error: {step}: {error}");
                let needs_person = error.remedy() == Remedy::Operator;
                return Ok(if needs_person { ExitCode::from(EXIT_OPERATOR) } else { ExitCode::FAILURE });
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Repeats a step while its server cannot be reached: also when its effect is unknown, as what is done is not done again.
async fn with_patience(step: Step, config: &Config, until: Instant) -> PortResult<String> {
    let mut backoff = Backoff::new(PAUSE_MIN, PAUSE_MAX);
    let mut is_told = false;
    loop {
        let error = match step.run(config).await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let delay = backoff.next_delay();
        if error.remedy() == Remedy::Operator || Instant::now() + delay > until {
            return Err(error);
        }
        if !is_told {
            is_told = true;
            tracing::warn!(what = %step, reason = %error, "trying again");
        }
        pause(delay).await;
    }
}

impl Args {
    fn into_sources(self) -> Sources {
        let own =
            [Flag::given("partitions", "--partitions", self.partitions), Flag::given("log.filter", "--log", self.log)];
        Sources::of_process(self.config, self.servers.into_flags().chain(own).flatten())
    }
}
