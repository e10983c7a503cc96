//! `diptych dev`: the whole way of the data in one process, on embedded stores.
//!
//! The boot story, in order: configuration, logs, ports, folder, stores, then the parts from the write side to the read side, and the
//! gRPC server last. Whatever is wrong is found before anything is written. Shutdown goes the same way: see [`stages`].

mod args;
mod banner;
mod data_lock;
mod parts;
mod ports;
mod signals;
mod stages;
mod upkeep;

use std::{process::ExitCode, sync::Arc};

use anyhow::Context;
use diptych_embedded::{Embedded, EmbeddedViewCache};
use diptych_kernel::{Clock, Partitions};
use diptych_runtime::{SystemClock, telemetry};
use tokio::time::Instant;
use tracing::{error, info};

pub(crate) use args::Args;
use data_lock::DataLock;
use ports::Ports;
use signals::Signals;
use stages::Stages;

use crate::config::{self, Config};

/// The exit status of a configuration with mistakes: nothing was started.
const EXIT_MISTAKE: u8 = 2;
/// The exit status after a second signal: what was under way was cut off. As shells count it, 128 and SIGINT.
const EXIT_CUT_OFF: u8 = 130;

/// Runs everything until a signal comes.
pub(crate) fn main(args: Args) -> anyhow::Result<ExitCode> {
    let dump = args.dump_config;
    let loaded = match config::load(args.into_sources(std::env::vars_os())) {
        Ok(loaded) => loaded,
        Err(mistakes) => {
            eprintln!("{mistakes}");
            return Ok(ExitCode::from(EXIT_MISTAKE));
        }
    };
    if dump {
        print!("{}", config::dump(&loaded)?);
        return Ok(ExitCode::SUCCESS);
    }
    let config = loaded.config;
    telemetry::install_logs(&config.log.filter, config.log.format.into())?;
    let runtime = crate::runtime(config.worker_threads.usize())?;
    let outcome = runtime.block_on(run(config));
    // What is still under way after a second signal must not hold the process up.
    runtime.shutdown_background();
    outcome
}

async fn run(config: Config) -> anyhow::Result<ExitCode> {
    let began_at = Instant::now();
    let mut signals = Signals::install().context("cannot listen for signals")?;
    let ports = Ports::bind(&config).await?;
    let _lock = DataLock::take(&config.data.0)?;
    let metrics = telemetry::install_metrics()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let stores = open(&config, &clock)?;

    let stages = Stages::new();
    let banner = banner::text(&config, &ports);
    let health = parts::start(&config, stores, ports, metrics, clock, &stages).await?;
    banner::print(&banner);
    info!(took_ms = began_at.elapsed().as_millis(), "ready");

    let failed = tokio::select! {
        signal = signals.next() => {
            info!(signal, "shutting down, a second signal exits at once");
            false
        }
        () = stages.any_stopped() => {
            error!("a part has failed, shutting down");
            true
        }
    };
    health.not_ready().await;
    tokio::select! {
        finished = stages.finish(config.shutdown_timeout.duration()) => {
            info!("stopped");
            Ok(if failed || !finished { ExitCode::FAILURE } else { ExitCode::SUCCESS })
        }
        signal = signals.next() => {
            error!(signal, "second signal, exiting at once");
            Ok(ExitCode::from(EXIT_CUT_OFF))
        }
    }
}

fn open(config: &Config, clock: &Arc<dyn Clock>) -> anyhow::Result<Embedded> {
    let place = &config.data.0;
    let partitions = Partitions::new(config.partitions.u16())?;
    let mut stores =
        Embedded::open(place, partitions, Arc::clone(clock)).with_context(|| format!("cannot open data in {place}"))?;
    stores.cache = Arc::new(EmbeddedViewCache::new(config.cache.size_max.bytes()));
    Ok(stores)
}
