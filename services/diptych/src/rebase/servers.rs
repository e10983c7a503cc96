//! Rebase of an installation on real servers.

use std::{path::PathBuf, process::ExitCode};

use diptych_kafka::KafkaEventLog;
use diptych_kernel::{
    Position,
    ports::{EventLog, PortResult},
};
use diptych_scylla::RebaseReport;

use super::Report;
use crate::{
    config::{Config, Sources},
    process::{self, KafkaFlag, PostgresFlag, ScyllaFlag},
    servers::{Server, postgres_config},
};

/// Name of this process in the activity view of the server. Not one of "diptych ...", which must all be stopped.
const NAME: &str = "rebase";

/// The flags for the servers.
#[derive(Debug, clap::Args)]
pub(super) struct ServerArgs {
    /// TOML file with settings.
    #[arg(long, value_name = "FILE", env = "DIPTYCH_CONFIG")]
    config: Option<PathBuf>,

    #[command(flatten)]
    postgres: PostgresFlag,

    #[command(flatten)]
    kafka: KafkaFlag,

    #[command(flatten)]
    scylla: ScyllaFlag,
}

impl ServerArgs {
    /// The configuration; an exit status where it is invalid, after its problems were printed.
    pub(super) fn config(self) -> anyhow::Result<Result<Config, ExitCode>> {
        let flags = [self.postgres.setting(), self.kafka.setting(), self.scylla.setting()];
        process::configuration(Sources::of_process(self.config, flags.into_iter().flatten()), false)
    }
}

/// Begins a new history in Postgres, above everything that the log and the views know, and makes the views follow it.
///
/// # Errors
/// When a server cannot be used. It can be repeated.
pub(super) async fn rebase_servers(config: &Config) -> anyhow::Result<Report> {
    let newest_on_log = newest_on_log(config).await.map_err(|error| Server::Kafka.failure(config, &error))?;
    let postgres = postgres_config(config, NAME);
    let before = diptych_postgres::installation(&postgres).await;
    let before = before.map_err(|error| Server::Postgres.failure(config, &error))?;
    // Before anything is changed: fails if the keyspace is of another installation.
    let newest_in_views = diptych_scylla::check_rebase(&config.scylla.adapter(), &before).await;
    let newest_in_views = newest_in_views.map_err(|error| Server::Scylla.failure(config, &error))?;
    let newest_known = newest_on_log.max(newest_in_views);
    let rebased = diptych_postgres::rebase(&postgres, newest_known).await;
    let rebased = rebased.map_err(|error| Server::Postgres.failure(config, &error))?;
    let views = diptych_scylla::rebase(&config.scylla.adapter(), &rebased.installation, newest_known).await;
    let views = views.map_err(|error| Server::Scylla.failure(config, &error))?;
    Ok(Report {
        last_position: rebased.last_position.as_i64(),
        history_id: Some(rebased.installation.history.id().to_string()),
        deletes_rows: matches!(views, RebaseReport::Emptied { .. }),
    })
}

/// The newest position on the log, of whatever history.
async fn newest_on_log(config: &Config) -> PortResult<Position> {
    let ends = KafkaEventLog::open(config.kafka.adapter()).await?.ends().await?;
    let positions = ends.into_iter().filter_map(|end| Some(end.last_event?.position));
    Ok(positions.max().unwrap_or(Position::START))
}
