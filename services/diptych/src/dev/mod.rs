//! `diptych dev`: all parts in one process, on embedded stores.

mod args;
mod clock_watch;
mod upkeep;

use std::{path::Path, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{anyhow, bail};
use diptych_embedded::{Embedded, EmbeddedViewCache, FolderLock, Storage};
use diptych_kernel::{Partitions, ports::PortError};
use diptych_projector::ProjectorConfig;
use diptych_query::QueryConfig;
use tokio::{net::TcpListener, time::timeout};

pub(crate) use args::Args;
use clock_watch::ClockWatch;

use crate::{
    config::{Config, Flag},
    parts::{self, Services, Stores, projector_config},
    process::{ProcessContext, Role, Running},
};

/// The consumer group. A folder has one event log and one installation.
const GROUP: &str = "projector";
/// The longest wait until progress was loaded.
const READY_WAIT_MAX: Duration = Duration::from_secs(10);

/// Runs all parts until a signal comes.
pub(crate) fn main(args: Args) -> anyhow::Result<ExitCode> {
    let Args { data, partitions, flags } = args;
    let own = [Flag::new("data", "--data", data), Flag::new("partitions", "--partitions", partitions)];
    flags.run(Role::Dev, own, start)
}

async fn start(process: &ProcessContext, listener: TcpListener) -> anyhow::Result<Running> {
    let config = &process.config;
    let lock = match &config.data.0 {
        Storage::Memory => None,
        Storage::Directory(folder) => Some(lock(folder)?),
    };
    let (stores, databases) = open(process)?;
    let mut clock = ClockWatch::start(&databases.events).await?;
    let services = Services::new();
    let health = process.serve(listener, |builder| services.add_to(builder).with_json()).await?;

    let query = config.query.part();
    // The stores are in this process, and signal every change.
    let query = QueryConfig { progress_poll_interval_while_waiting: query.progress_poll_interval, ..query };
    let projector = ProjectorConfig { progress_interval: Duration::ZERO, ..projector_config(process, &stores) };
    let commands = parts::start_commands_with_queue(process, &stores.events, &databases.queue);
    let mut read_side = services.start(process, &stores, commands, (projector, query));
    let (shutdown, tasks) = (process.phases.relay.shutdown(), process.phases.relay.tasks());
    tasks.spawn("trim the log", upkeep::trim_log(Arc::clone(&stores.log), shutdown.clone()));
    let (events, queue) = (Arc::clone(&databases.events), Arc::clone(&databases.queue));
    tasks.spawn("trim the queue of commands", upkeep::trim_queue(events, queue, shutdown.clone()));
    if matches!(config.data.0, Storage::Directory(_)) {
        tasks.spawn("shrink the write-ahead logs", upkeep::shrink_logs(databases, shutdown.clone()));
    }
    tasks.spawn("watch the clock", async move { clock.run(shutdown).await });

    match timeout(READY_WAIT_MAX, read_side.loaded()).await {
        Ok(()) if read_side.is_loaded() => {}
        _ => bail!("the query service is not ready after {READY_WAIT_MAX:?}; see the log for the cause"),
    }
    health.started().await;
    // A new generation of a view is filled first, however long that takes.
    read_side.ready().await;
    let facts = [("Data", data_fact(config)), ("Partitions", config.partitions.u16().to_string())];
    Ok(Running::ready(health).await.with_banner(process, &facts).keeping(lock))
}

type EmbeddedStores = Stores<
    diptych_embedded::EmbeddedEventStore,
    diptych_embedded::EmbeddedEventLog,
    diptych_embedded::EmbeddedViewStore,
    EmbeddedViewCache,
>;

fn open(process: &ProcessContext) -> anyhow::Result<(EmbeddedStores, Embedded)> {
    let ProcessContext { config, clock, .. } = process;
    let storage = &config.data.0;
    let partitions = Partitions::new(config.partitions.u16())?;
    let databases =
        Embedded::open(storage, partitions, Arc::clone(clock)).map_err(|error| open_error(config, &error))?;
    let Embedded { events, log, views, tokens, .. } = databases.clone();
    let cache = Arc::new(EmbeddedViewCache::new(config.cache.size_max.bytes()));
    Ok((Stores { events, log, views, cache, group: GROUP.to_owned(), tokens }, databases))
}

/// Locks the data folder.
fn lock(folder: &Path) -> anyhow::Result<FolderLock> {
    let named = format!("--data {} (setting data)", folder.display());
    if folder.is_file() {
        bail!("{named} is a file; give a folder");
    }
    // The message of a port error has its source already.
    FolderLock::acquire(folder).map_err(|error| anyhow!("{named}: {error}"))
}

/// The error of data that cannot be opened, with the flags and settings that name it.
fn open_error(config: &Config, error: &PortError) -> anyhow::Error {
    // The message of a port error has its source already.
    let error = error.to_string();
    let remedy = if error.contains("partitions") { "; set it with --partitions (setting partitions)" } else { "" };
    anyhow!("cannot open data in --data {} (setting data): {error}{remedy}", config.data.0)
}

/// Returns the location of the data, for the banner.
fn data_fact(config: &Config) -> String {
    match &config.data.0 {
        Storage::Memory => "in memory, lost when this process ends (--data DIR stores it)".to_owned(),
        Storage::Directory(folder) => format!("{} (events.db, log.db, queue.db, views.db)", folder.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_cannot_be_created_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = format!("{:#}", lock(&file.path().join("data")).unwrap_err());
        assert!(text.starts_with("--data /") && text.contains("(setting data): cannot create the folder"), "{text}");
    }

    #[test]
    fn a_file_in_the_place_of_the_folder_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = format!("{:#}", lock(file.path()).unwrap_err());
        assert_eq!(text, format!("--data {} (setting data) is a file; give a folder", file.path().display()));
    }
}
