//! The run of a process: configuration, logs, ports, start, signals, shutdown.

use std::{
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, bail};
use diptych_runtime::{pause, telemetry};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    time::Instant,
};
use tracing::{error, info};

use super::{
    banner,
    context::{ProcessContext, Running},
    ports::BoundPorts,
    role::{self, Role},
    signals::Signals,
};
use crate::config::{self, Config, LoadedConfig, Sources};

/// The exit status for invalid flags or settings: nothing was started.
pub(crate) const EXIT_NOT_STARTED: u8 = 2;
/// The exit status after a second signal, as shells report SIGINT: 128 and its number.
const EXIT_SECOND_SIGNAL: u8 = 130;
/// The longest time for the export of the last spans.
const TRACES_SHUTDOWN_MAX: Duration = Duration::from_secs(2);
/// The first second of the year 10000.
const YEAR_10000: Duration = Duration::from_secs(253_402_300_800);
/// Threads of a subcommand that is only a client, or only reads files.
const TOOL_THREADS: usize = 2;

/// Runs a subcommand that ends by itself, and that Ctrl-C ends without cleaning up.
pub(crate) fn run_tool(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tokio_runtime(TOOL_THREADS)?.block_on(work)
}

/// Runs what `start` starts until a signal comes.
pub(super) fn main(
    role: Role,
    sources: Sources,
    dumps_config: bool,
    start: impl AsyncFnOnce(&ProcessContext, TcpListener) -> anyhow::Result<Running>,
) -> anyhow::Result<ExitCode> {
    let config = match configuration(sources, dumps_config)? {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let runtime = tokio_runtime(config.worker_threads.usize())?;
    let outcome = runtime.block_on(run_traced(role, config, start));
    // Tasks that still run after a second signal must not delay the exit.
    runtime.shutdown_background();
    outcome
}

fn tokio_runtime(worker_threads: usize) -> std::io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(worker_threads).thread_name("diptych").enable_all().build()
}

/// Installs logs and traces, runs, and exports the last traces.
async fn run_traced(
    role: Role,
    config: Config,
    start: impl AsyncFnOnce(&ProcessContext, TcpListener) -> anyhow::Result<Running>,
) -> anyhow::Result<ExitCode> {
    let settings = config.telemetry.traces(&role.to_string(), role.systems(&config));
    let instance = role::instance_name(&config.instance, role, config.listen.port());
    let logs = config.log.settings(vec![("role", role.to_string()), ("instance", instance.clone())]);
    let traces = telemetry::install_logs_and_traces(&logs, settings.as_ref())?;
    let stopped = run(role, instance, config, start).await;
    if !matches!(stopped, Ok(StopOutcome::SecondSignal)) {
        traces.shutdown(TRACES_SHUTDOWN_MAX).await;
    }
    stopped.map(ExitCode::from)
}

/// Reads the configuration. Returns an exit status instead where there is nothing more to do: the configuration is
/// invalid, or was only to be printed.
pub(crate) fn configuration(sources: Sources, dumps_config: bool) -> anyhow::Result<Result<Config, ExitCode>> {
    match config::load(sources) {
        Err(problems) => {
            eprintln!("{problems}");
            Ok(Err(ExitCode::from(EXIT_NOT_STARTED)))
        }
        Ok(loaded) if dumps_config => {
            print!("{}", config::dump(&loaded)?);
            Ok(Err(ExitCode::SUCCESS))
        }
        Ok(LoadedConfig { config, .. }) => Ok(Ok(config)),
    }
}

async fn run(
    role: Role,
    instance: String,
    config: Config,
    start: impl AsyncFnOnce(&ProcessContext, TcpListener) -> anyhow::Result<Running>,
) -> anyhow::Result<StopOutcome> {
    let began_at = Instant::now();
    check_clock(SystemTime::now())?;
    let mut signals = Signals::install().context("cannot listen for signals")?;
    let ports = BoundPorts::bind(&config).await?;
    let metrics = telemetry::install_metrics()?;
    let process = ProcessContext::new(instance, config, &ports);
    let ProcessContext { phases, instance, grpc_address, metrics_address, .. } = &process;
    let metrics_server = metrics.serve(ports.metrics.listener, phases.metrics.shutdown());
    phases.metrics.tasks().spawn_fallible("metrics", metrics_server);
    info!(%role, instance, grpc = %grpc_address, metrics = %metrics_address, "listening");

    let running = tokio::select! {
        running = start(&process, ports.grpc.listener) => running?,
        () = phases.any_failed() => bail!("a component failed; see the log"),
        signal = signals.next() => {
            info!(signal, "stopping before ready; a second signal exits at once");
            return Ok(stop(&process, Duration::ZERO, &mut signals).await);
        }
    };
    info!(took_ms = began_at.elapsed().as_millis(), "ready");
    if let Some(text) = &running.banner {
        // After the last log line of the start, so that the calls to copy are not scrolled away.
        banner::print(text);
    }

    let failed = tokio::select! {
        signal = signals.next() => {
            info!(signal, "shutting down; a second signal exits at once");
            false
        }
        () = phases.any_failed() => {
            error!("a component failed, shutting down");
            true
        }
    };
    running.health.not_ready().await;
    let delay = if failed { Duration::ZERO } else { process.config.drain_delay.duration() };
    Ok(match stop(&process, delay, &mut signals).await {
        StopOutcome::Graceful if failed => StopOutcome::Failed,
        stopped => stopped,
    })
}

/// Checks that the time can be told to clients: HTTP dates are of the years 1970 to 9999, and the HTTP server panics at
/// others.
fn check_clock(now: SystemTime) -> anyhow::Result<()> {
    match now.duration_since(UNIX_EPOCH) {
        Err(before) => bail!(
            "the system clock shows a time before 1970, by {} days: set it, and start again",
            before.duration().as_secs() / 86_400
        ),
        Ok(since_1970) if since_1970 >= YEAR_10000 => {
            bail!("the system clock shows a year after 9999: set it, and start again")
        }
        Ok(_) => Ok(()),
    }
}

/// Waits for the delay, then runs the phases of shutdown, unless a second signal comes.
async fn stop(process: &ProcessContext, delay: Duration, signals: &mut Signals) -> StopOutcome {
    let graceful = async {
        pause(delay).await;
        process.phases.finish(process.config.shutdown_timeout.duration()).await
    };
    tokio::select! {
        finished = graceful => {
            info!("stopped");
            if finished { StopOutcome::Graceful } else { StopOutcome::Failed }
        }
        signal = signals.next() => {
            error!(signal, "second signal, exiting at once");
            StopOutcome::SecondSignal
        }
    }
}

/// Outcome of the stop of a process.
enum StopOutcome {
    /// All phases of shutdown finished in time.
    Graceful,
    /// A task failed, or did not stop in time.
    Failed,
    /// A second signal ended it at once.
    SecondSignal,
}

impl From<StopOutcome> for ExitCode {
    fn from(stopped: StopOutcome) -> Self {
        match stopped {
            StopOutcome::Graceful => Self::SUCCESS,
            StopOutcome::Failed => Self::FAILURE,
            StopOutcome::SecondSignal => Self::from(EXIT_SECOND_SIGNAL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_before_1970_or_after_9999_is_refused() {
        assert!(check_clock(SystemTime::now()).is_ok());
        assert!(check_clock(UNIX_EPOCH).is_ok());
        let error = check_clock(UNIX_EPOCH - Duration::from_secs(3 * 86_400)).unwrap_err().to_string();
        assert!(error.contains("before 1970, by 3 days: set it"), "{error}");
        assert!(check_clock(UNIX_EPOCH + YEAR_10000).is_err());
    }
}
