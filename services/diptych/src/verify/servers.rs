//! Audit of an installation on real servers.

use std::{path::PathBuf, process::ExitCode};

use anyhow::bail;
use diptych_postgres::PostgresEventStore;
use diptych_scylla::ScyllaViewStore;

use super::{report::Report, verify};
use crate::{
    config::{Config, Sources},
    process::{self, PostgresFlag, ScyllaFlag},
    servers::{Server, postgres_config},
};

/// Name of this process in the activity view of the server.
const NAME: &str = "verify";

/// The flags for the servers.
#[derive(Debug, clap::Args)]
pub(super) struct ServerArgs {
    /// TOML file with settings.
    #[arg(long, value_name = "FILE", env = "DIPTYCH_CONFIG")]
    config: Option<PathBuf>,

    #[command(flatten)]
    postgres: PostgresFlag,

    #[command(flatten)]
    scylla: ScyllaFlag,
}

impl ServerArgs {
    /// The configuration; an exit status where it is invalid, after its problems were printed.
    pub(super) fn config(self) -> anyhow::Result<Result<Config, ExitCode>> {
        let flags = [self.postgres.setting(), self.scylla.setting()];
        process::configuration(Sources::of_process(self.config, flags.into_iter().flatten()), false)
    }
}

/// Compares the events of Postgres with the rows of ScyllaDB.
///
/// # Errors
/// When a server cannot be used.
pub(super) async fn verify_servers(config: &Config, differences_max: usize) -> anyhow::Result<Report> {
    let events = PostgresEventStore::open(postgres_config(config, NAME)).await;
    let events = events.map_err(|error| Server::Postgres.failure(config, &error))?;
    // Not by the installation of the events: that records it where it is new, and this changes nothing.
    let views = ScyllaViewStore::open_with_stored_installation(config.scylla.adapter()).await;
    let views = views.map_err(|error| Server::Scylla.failure(config, &error))?;
    if views.installation() != events.installation() {
        bail!(
            "the write database has the history {}, and keyspace {} follows the history {}: run `diptych migrate`, which \
             says what to do",
            events.installation().history.id(),
            config.scylla.keyspace,
            views.installation().history.id()
        );
    }
    verify(&events, &views, differences_max).await
}
