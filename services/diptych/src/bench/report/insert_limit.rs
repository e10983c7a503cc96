//! The limit of commands by stream: a bare batched INSERT of the same rows into the same write database.

use std::time::Duration;

use anyhow::anyhow;
use diptych_kernel::ports::PortError;
use diptych_postgres::{BareInsertTables, BareInserter};

use super::load::WrittenEvents;
use crate::{
    bench::{concurrent_callers, measurement::Measurement, pacer::Pacer},
    config::{Config, variable},
    servers::{Server, postgres_config},
};

/// The key of the setting that names the write database.
pub(super) const SETTING: &str = "postgres.url";

/// The tables of the bare INSERT, and its connections.
pub(super) struct InsertLimit {
    tables: BareInsertTables,
    inserters: Vec<BareInserter>,
    config: Config,
}

impl InsertLimit {
    /// Connects to the write database and creates the tables.
    ///
    /// # Errors
    /// When the database cannot be used; the message says what to do.
    pub(super) async fn open(config: Config) -> anyhow::Result<Self> {
        match BareInsertTables::create(postgres_config(&config, "bench")).await {
            Ok(tables) => Ok(Self { tables, inserters: Vec::new(), config }),
            Err(error) => Err(failure(&config, &error)),
        }
    }

    /// The version of the database.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(super) async fn server_version(&self) -> anyhow::Result<String> {
        let version = self.tables.server_version().await.map_err(|error| failure(&self.config, &error))?;
        // Distributions add the name of their package.
        Ok(version.split_whitespace().next().unwrap_or_default().to_owned())
    }

    /// Opens this number of connections and prepares rows like those that were just written. Does nothing after the
    /// first success.
    ///
    /// # Errors
    /// When the database does not answer, or its newest events are not those that were written.
    pub(super) async fn prepare(&mut self, written: &WrittenEvents, connections: usize) -> anyhow::Result<()> {
        if self.inserters.is_empty() {
            let inserters = self.tables.inserters(&written.stream_ids, written.events_count, connections).await;
            self.inserters = inserters.map_err(|error| failure(&self.config, &error))?;
        }
        Ok(())
    }

    /// Inserts batches for a time. Each call of the measurement is a batch. Call [`prepare`](Self::prepare) first.
    ///
    /// # Errors
    /// When the measurement fails; a batch that fails is counted by it.
    pub(super) async fn insert(&mut self, duration: Duration) -> anyhow::Result<Measurement> {
        let pacer = Pacer::for_duration(duration);
        concurrent_callers::run(self.inserters.iter_mut().collect(), &pacer, |inserter| {
            async move |_| inserter.insert_batch().await.map_err(|error| error.to_string())
        })
        .await
    }

    /// The number of events in a batch; 0 before [`prepare`](Self::prepare).
    pub(super) fn events_per_batch(&self) -> usize {
        self.inserters.first().map_or(0, BareInserter::events_per_batch)
    }

    /// Drops the tables.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        drop(self.inserters);
        self.tables.drop_tables().await.map_err(|error| {
            anyhow!("cannot drop the tables diptych_bench_*; the next report does: {}", failure(&self.config, &error))
        })
    }
}

/// The reason why a report has no such limit.
pub(super) fn missing_reason() -> String {
    format!("none: give {SETTING} ({}, --postgres)", variable(SETTING))
}

/// The reason of a figure that is not compared because the INSERT could not be prepared. One line, for tables.
pub(super) fn unprepared_reason(error: &anyhow::Error) -> String {
    format!("none: {error:#}").replace(['\n', '|'], " ")
}

fn failure(config: &Config, error: &PortError) -> anyhow::Error {
    Server::Postgres.failure(config, error)
}
