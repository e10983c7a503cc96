//! `diptych dev`: the whole way of the data in one process, on embedded stores.

mod args;
mod data_lock;
mod upkeep;

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use diptych_embedded::{Embedded, EmbeddedViewCache, Storage};
use diptych_kernel::Partitions;
use diptych_projector::ProjectorConfig;
use diptych_query::QueryConfig;
use tokio::{net::TcpListener, time::timeout};

pub(crate) use args::Args;
use data_lock::DataLock;

use crate::{
    config::Config,
    parts::{Services, Stores, projector_config},
    process::{self, Process, Role, Running, banner},
};

/// The consumer group. A folder has one log, and one installation.
const GROUP: &str = "projector";
/// How long to wait until queries can be answered.
const READY_MAX: Duration = Duration::from_secs(10);

/// Runs everything until a signal comes.
pub(crate) fn main(args: Args) -> anyhow::Result<ExitCode> {
    let dumps_config = args.dumps_config();
    process::main(Role::Dev, args.into_sources(), dumps_config, start)
}

async fn start(process: &Process, listener: TcpListener) -> anyhow::Result<Running> {
    let config = &process.config;
    let lock = DataLock::take(&config.data.0)?;
    let stores = open(process)?;
    let services = Services::new();
    let health = process.serve(listener, |builder| services.add_to(builder).with_json()).await?;

    let query = QueryConfig::from(&config.query);
    // The stores are in this process, and tell of every change.
    let query = QueryConfig { progress_poll_interval_while_waiting: query.progress_poll_interval, ..query };
    let projector = ProjectorConfig { progress_interval: Duration::ZERO, ..projector_config(process, &stores) };
    let reader = services.start(process, &stores, (projector, query));
    let trim = upkeep::trim_log(Arc::clone(&stores.log), process.stages.relay.shutdown());
    process.stages.relay.tasks().spawn("trim the log", trim);

    match timeout(READY_MAX, reader.ready()).await {
        Ok(()) if reader.is_ready() => {}
        _ => bail!("queries cannot be answered, the log has the story"),
    }
    let running = Running::ready(health).await.keeping(lock);
    banner::print(&banner::text(process, &[("Data", kept_in(config))]));
    Ok(running)
}

type EmbeddedStores = Stores<
    diptych_embedded::EmbeddedEventStore,
    diptych_embedded::EmbeddedEventLog,
    diptych_embedded::EmbeddedViewStore,
    EmbeddedViewCache,
>;

fn open(process: &Process) -> anyhow::Result<EmbeddedStores> {
    let Process { config, clock, .. } = process;
    let place = &config.data.0;
    let partitions = Partitions::new(config.partitions.u16())?;
    let Embedded { events, log, views, .. } =
        Embedded::open(place, partitions, Arc::clone(clock)).with_context(|| format!("cannot open data in {place}"))?;
    let cache = Arc::new(EmbeddedViewCache::new(config.cache.size_max.bytes()));
    Ok(Stores { events, log, views, cache, group: GROUP.to_owned() })
}

fn kept_in(config: &Config) -> String {
    match &config.data.0 {
        Storage::Memory => "in memory, gone when this process ends (--data DIR keeps it)".to_owned(),
        Storage::Directory(folder) => format!("{} (events.db, log.db, views.db)", folder.display()),
    }
}
