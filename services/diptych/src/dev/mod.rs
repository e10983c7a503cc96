//! `diptych dev`: all parts in one process, on embedded stores.

mod args;
mod clock_watch;
mod upkeep;

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use diptych_embedded::{Embedded, EmbeddedViewCache, FolderLock, Storage};
use diptych_kernel::Partitions;
use diptych_projector::ProjectorConfig;
use diptych_query::QueryConfig;
use tokio::{net::TcpListener, time::timeout};

pub(crate) use args::Args;
use clock_watch::ClockWatch;

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
    let lock = match &config.data.0 {
        Storage::Memory => None,
        Storage::Directory(folder) => Some(FolderLock::acquire(folder)?),
    };
    let (stores, databases) = open(process)?;
    let mut clock = ClockWatch::start(&databases.events).await?;
    let services = Services::new();
    let health = process.serve(listener, |builder| services.add_to(builder).with_json()).await?;

    let query = config.query.part();
    // The stores are in this process, and signal every change.
    let query = QueryConfig { progress_poll_interval_while_waiting: query.progress_poll_interval, ..query };
    let projector = ProjectorConfig { progress_interval: Duration::ZERO, ..projector_config(process, &stores) };
    let reader = services.start(process, &stores, (projector, query));
    let (shutdown, tasks) = (process.phases.relay.shutdown(), process.phases.relay.tasks());
    tasks.spawn("trim the log", upkeep::trim_log(Arc::clone(&stores.log), shutdown.clone()));
    if matches!(config.data.0, Storage::Directory(_)) {
        tasks.spawn("shrink the write-ahead logs", upkeep::shrink_logs(databases, shutdown.clone()));
    }
    tasks.spawn("watch the clock", async move { clock.run(shutdown).await });

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

fn open(process: &ProcessContext) -> anyhow::Result<(EmbeddedStores, Embedded)> {
    let ProcessContext { config, clock, .. } = process;
    let storage = &config.data.0;
    let partitions = Partitions::new(config.partitions.u16())?;
    let databases = Embedded::open(storage, partitions, Arc::clone(clock))
        .with_context(|| format!("cannot open data in {storage}"))?;
    let Embedded { events, log, views, .. } = databases.clone();
    let cache = Arc::new(EmbeddedViewCache::new(config.cache.size_max.bytes()));
    Ok((Stores { events, log, views, cache, group: GROUP.to_owned() }, databases))
}

/// Where data is kept, for the banner.
fn data_fact(config: &Config) -> String {
    match &config.data.0 {
        Storage::Memory => "in memory, lost when this process ends (--data DIR stores it)".to_owned(),
        Storage::Directory(folder) => format!("{} (events.db, log.db, views.db)", folder.display()),
    }
}
