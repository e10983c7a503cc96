//! `diptych migrate`: creates the tables, topic and keyspace that the services need.

use std::{fmt, process::ExitCode, time::Duration};

use diptych_kafka::{KafkaConfig, KafkaEventLog};
use diptych_kernel::{
    Partitions,
    ports::{EventLog, PortError, PortResult, Remedy, ViewStore},
    vocabulary::Installation,
};
use diptych_projector::STREAM_VERSIONS;
use diptych_runtime::{Backoff, pause, telemetry};
use diptych_scylla::ScyllaViewStore;
use tokio::time::Instant;

use crate::{
    config::{Config, Flag, duration_flag},
    parts,
    process::{self, KafkaFlag, PostgresFlag, ScyllaFlag, SettingsFlags},
    servers::{self, Server},
};

/// The exit status where an operator must act.
const EXIT_OPERATOR: u8 = 3;

const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Create or update the tables in Postgres, the topic in Kafka, and the keyspace and tables of the views in ScyllaDB.
///
/// What exists is left as it is, so that it can be repeated, also by several processes at the same time. The number of
/// partitions is fixed by the first run, and checked by every later one.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Partitions of a new installation, 1 to 256; fixed once it exists. Default: 16.
    #[arg(long, value_name = "COUNT")]
    partitions: Option<String>,

    /// Role in Postgres that gets the rights that services need, none of them to change tables. It must exist. Repeat
    /// it after each upgrade.
    #[arg(long, value_name = "ROLE")]
    grant_to: Option<String>,

    /// Time to retry while a server cannot be reached, 0s to 1d; a number alone is in seconds.
    #[arg(long, value_name = "TIME", default_value = "60", value_parser = duration_flag::<0>)]
    timeout: Duration,

    #[command(flatten)]
    settings: SettingsFlags,

    #[command(flatten)]
    postgres: PostgresFlag,

    #[command(flatten)]
    kafka: KafkaFlag,

    #[command(flatten)]
    scylla: ScyllaFlag,
}

const AFTER_HELP: &str = "\
Examples:
  diptych migrate --config diptych.toml
  diptych migrate --postgres postgres://diptych@db/diptych --kafka kafka:9092 --scylla scylla:9042 --partitions 32
  diptych migrate --postgres postgres://owner@db/diptych --grant-to diptych      services connect as the role diptych
  DIPTYCH_KAFKA__REPLICATION_FACTOR=1 DIPTYCH_SCYLLA__REPLICATION_FACTOR=1 diptych migrate      one node of each

The user of postgres.url becomes the owner of the tables. With --grant-to,
services can use another role (CREATE ROLE diptych LOGIN): what they rotate is
done by functions that run as the owner.

The database itself must exist (CREATE DATABASE). A new topic and a new
keyspace get kafka.replication_factor and scylla.replication_factor; existing
ones keep theirs.

Exit status: 0 everything is up to date; 1 a server could not be reached, or
did not finish, within --timeout: run it again; 2 invalid flags or settings,
nothing was done; 3 an operator must act: standard error says how.";

/// A step of the migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MigrationStep {
    /// The tables of the write database.
    Postgres,
    /// The topic of the events.
    Kafka,
    /// The keyspace of the views.
    Keyspace,
    /// The tables of all views.
    Views,
}

impl MigrationStep {
    /// All steps, in order.
    pub(crate) const ALL: [Self; 4] = [Self::Postgres, Self::Kafka, Self::Keyspace, Self::Views];

    /// The server that it changes.
    pub(crate) fn server(self) -> Server {
        match self {
            Self::Postgres => Server::Postgres,
            Self::Kafka => Server::Kafka,
            Self::Keyspace | Self::Views => Server::Scylla,
        }
    }

    /// Runs the step unless it is done already; returns what was done.
    ///
    /// # Errors
    /// Those of the server's adapter.
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
                let history = installation(config).await?.history;
                let kafka = KafkaConfig { history: Some(history), ..config.kafka.adapter() };
                diptych_kafka::ensure_topic(&kafka, partitions).await?;
                // Fails if another installation uses the topic.
                KafkaEventLog::open(kafka).await?.ends().await?;
                Ok(format!("{} exists with {count} partitions", config.kafka.topic))
            }
            Self::Keyspace => {
                let installation = installation(config).await?;
                let migrated = diptych_scylla::migrate(&config.scylla.adapter(), &installation).await?;
                Ok(done(migrated.applied, migrated.version))
            }
            Self::Views => {
                let views = ScyllaViewStore::open_with_stored_installation(config.scylla.adapter()).await?;
                let mut ids = parts::view_ids();
                ids.push(STREAM_VERSIONS);
                views.ensure_views(&ids).await?;
                let names: Vec<_> = ids.iter().map(ToString::to_string).collect();
                let group = servers::projector_group(&config.kafka.topic.to_string());
                Ok(format!("{} exist, written by the consumer group {group}", names.join(", ")))
            }
        }
    }
}

/// The installation, as the write database fixes it.
async fn installation(config: &Config) -> PortResult<Installation> {
    diptych_postgres::installation(&servers::postgres_config(config, "migrate")).await
}

fn done(applied: usize, version: usize) -> String {
    match applied {
        0 => format!("up to date at version {version}"),
        1 => format!("1 migration applied, now at version {version}"),
        count => format!("{count} migrations applied, now at version {version}"),
    }
}

impl fmt::Display for MigrationStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres => "tables in Postgres",
            Self::Kafka => "topic in Kafka",
            Self::Keyspace => "keyspace in ScyllaDB",
            Self::Views => "views in ScyllaDB",
        })
    }
}

/// Runs all steps, each retried until it is done or the timeout is over.
pub(crate) fn main(args: Args) -> anyhow::Result<ExitCode> {
    let (dumps_config, timeout, grant_to) = (args.settings.dumps_config(), args.timeout, args.grant_to);
    let partitions = Flag::new("partitions", "--partitions", args.partitions);
    let flags = [args.postgres.setting(), args.kafka.setting(), args.scylla.setting(), partitions];
    let config = match process::configuration(args.settings.into_sources(flags), dumps_config)? {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    telemetry::install_logs(&config.log.settings(vec![("role", "migrate".to_owned())]))?;
    process::run_tool(run(config, timeout, grant_to))
}

async fn run(config: Config, timeout: Duration, grant_to: Option<String>) -> anyhow::Result<ExitCode> {
    let deadline = Instant::now() + timeout;
    for step in MigrationStep::ALL {
        match run_with_retries(step, &config, deadline).await {
            Ok(done) => println!("{:<22}{done}", step.to_string()),
            Err(error) => return Ok(failed(&step.to_string(), step.server(), &config, &error)),
        }
        if let (MigrationStep::Postgres, Some(role)) = (step, &grant_to) {
            const WHAT: &str = "rights in Postgres";
            match diptych_postgres::grant(&servers::postgres_config(&config, "migrate"), role).await {
                Ok(()) => println!("{WHAT:<22}granted to {role}"),
                Err(error) => return Ok(failed(WHAT, Server::Postgres, &config, &error)),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Reports the error of a step; returns the exit status.
fn failed(what: &str, server: Server, config: &Config, error: &PortError) -> ExitCode {
    eprintln!("error: {what}: {}", server.failure(config, error));
    if error.remedy() == Remedy::Operator { ExitCode::from(EXIT_OPERATOR) } else { ExitCode::FAILURE }
}

/// Runs a step, retried until the deadline while its server cannot be reached. A step whose outcome is unknown is
/// retried too: each step is idempotent.
async fn run_with_retries(step: MigrationStep, config: &Config, deadline: Instant) -> PortResult<String> {
    let mut backoff = Backoff::new(PAUSE_MIN, PAUSE_MAX);
    let mut is_logged = false;
    loop {
        let error = match step.run(config).await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let delay = backoff.next_delay();
        if error.remedy() == Remedy::Operator || Instant::now() + delay > deadline {
            return Err(error);
        }
        if !is_logged {
            is_logged = true;
            let address = step.server().address(config);
            tracing::warn!(what = %step, address, reason = %error, "step failed, retrying");
        }
        pause(delay).await;
    }
}
