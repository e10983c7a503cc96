//! `diptych dev`: all parts in one process, on embedded stores.

mod args;
mod data_lock;
mod upkeep;

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::{anyhow, bail};
use diptych_embedded::{Embedded, EmbeddedViewCache, Storage};
use diptych_kernel::{Partitions, ports::PortError};
use diptych_projector::ProjectorConfig;
use diptych_query::QueryConfig;
use tokio::{net::TcpListener, time::timeout};

pub(crate) use args::Args;
use data_lock::DataLock;

use crate::{
    config::{Config, Flag},
    parts::{Services, Stores, projector_config},
    process::{ProcessContext, Role, Running},
};

/// The consumer group. A folder has one event log and one installation.
const GROUP: &str = "projector";
/// The longest wait until queries can be answered.
const READY_WAIT_MAX: Duration = Duration::from_secs(10);

/// Runs all parts until a signal comes.
pub(crate) fn main(args: Args) -> anyhow::Result<ExitCode> {
    let Args { data, partitions, flags } = args;
    let own = [Flag::new("data", "--data", data), Flag::new("partitions", "--partitions", partitions)];
    flags.run(Role::Dev, own, start)
}

async fn start(process: &ProcessContext, listener: TcpListener) -> anyhow::Result<Running> {
    let config = &process.config;
    let lock = DataLock::acquire(&config.data.0)?;
    let stores = open(process)?;
    let services = Services::new();
    let health = process.serve(listener, |builder| services.add_to(builder).with_json()).await?;

    let query = config.query.part();
    // The stores are in this process, and signal every change.
    let query = QueryConfig { progress_poll_interval_while_waiting: query.progress_poll_interval, ..query };
    let projector = ProjectorConfig { progress_interval: Duration::ZERO, ..projector_config(process, &stores) };
    let reader = services.start(process, &stores, (projector, query));
    let trim = upkeep::trim_log(Arc::clone(&stores.log), process.phases.relay.shutdown());
    process.phases.relay.tasks().spawn("trim the log", trim);

    match timeout(READY_WAIT_MAX, reader.ready()).await {
        Ok(()) if reader.is_ready() => {}
        _ => bail!("the query service is not ready after {READY_WAIT_MAX:?}; see the log for the cause"),
    }
    let facts = [("Data", data_fact(config)), ("Partitions", config.partitions.u16().to_string())];
    Ok(Running::ready(health).await.with_banner(process, &facts).keeping(lock))
}

type EmbeddedStores = Stores<
    diptych_embedded::EmbeddedEventStore,
    diptych_embedded::EmbeddedEventLog,
    diptych_embedded::EmbeddedViewStore,
    EmbeddedViewCache,
>;

fn open(process: &ProcessContext) -> anyhow::Result<EmbeddedStores> {
    let ProcessContext { config, clock, .. } = process;
    let storage = &config.data.0;
    let partitions = Partitions::new(config.partitions.u16())?;
    let Embedded { events, log, views, .. } =
        Embedded::open(storage, partitions, Arc::clone(clock)).map_err(|error| open_error(config, &error))?;
    let cache = Arc::new(EmbeddedViewCache::new(config.cache.size_max.bytes()));
    Ok(Stores { events, log, views, cache, group: GROUP.to_owned() })
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
        Storage::Directory(folder) => format!("{} (events.db, log.db, views.db)", folder.display()),
    }
}
