//! What every process that serves has in common: configuration, logs, ports, start, shutdown.
//!
//! In order: read the configuration, install logs and traces, bind the ports, then start the parts of the subcommand
//! (see [`crate::parts`]). Invalid settings are reported before anything is started. The gRPC server is started first:
//! while the parts wait for their servers, health reports the process as alive and not ready. Shutdown runs in
//! [`phases`].

mod banner;
mod deferred;
mod flags;
mod open;
mod phases;
mod ports;
mod role;
mod signals;

use std::{any::Any, net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use diptych_kernel::Clock;
use diptych_runtime::{
    SystemClock,
    grpc::{Health, ServerBuilder},
    pause, telemetry,
};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    time::Instant,
};
use tracing::{error, info};

pub(crate) use deferred::DeferredService;
pub(crate) use flags::{
    KafkaFlag, MemcachedFlag, PostgresFlag, ProcessFlags, ScyllaFlag, ServiceFlags, SettingsFlags, after_help,
};
pub(crate) use open::open_with_retries;
pub(crate) use role::Role;

use self::{phases::ShutdownPhases, ports::BoundPorts, signals::Signals};
use crate::config::{self, Config, LoadedConfig, Sources};

/// The exit status for invalid flags or settings: nothing was started.
pub(crate) const EXIT_NOT_STARTED: u8 = 2;
/// The exit status after a second signal, as shells report SIGINT: 128 and its number.
const EXIT_SECOND_SIGNAL: u8 = 130;
/// The longest time for the export of the last spans.
const TRACES_SHUTDOWN_MAX: Duration = Duration::from_secs(2);
/// Threads of a subcommand that is only a client, or only reads files.
const TOOL_THREADS: usize = 2;

/// A running process, as its parts use it.
pub(crate) struct ProcessContext {
    pub(crate) config: Config,
    /// The instance name: unique, and the same after a restart.
    pub(crate) instance: String,
    pub(crate) clock: Arc<dyn Clock>,
    /// Where tasks are started, by the phase of shutdown that stops them.
    pub(crate) phases: ShutdownPhases,
    /// Where gRPC is served.
    pub(crate) grpc_address: SocketAddr,
    /// Where metrics are served.
    pub(crate) metrics_address: SocketAddr,
}

/// A process that is ready.
pub(crate) struct Running {
    health: Health,
    /// Printed once the process is ready.
    banner: Option<String>,
    /// Kept until the process has stopped.
    _kept: Option<Box<dyn Any>>,
}

/// Runs a subcommand that ends by itself, and that Ctrl-C ends without cleaning up.
pub(crate) fn run_tool(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tokio_runtime(TOOL_THREADS)?.block_on(work)
}

/// Runs what `start` starts until a signal comes.
fn main(
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
            return Ok(process.stop(Duration::ZERO, &mut signals).await);
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
    Ok(match process.stop(delay, &mut signals).await {
        StopOutcome::Graceful if failed => StopOutcome::Failed,
        stopped => stopped,
    })
}

/// How a process stopped.
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

impl ProcessContext {
    fn new(instance: String, config: Config, ports: &BoundPorts) -> Self {
        Self {
            instance,
            config,
            clock: Arc::new(SystemClock),
            phases: ShutdownPhases::new(),
            grpc_address: ports.grpc.address,
            metrics_address: ports.metrics.address,
        }
    }

    /// Serves gRPC: the mounted services, health and reflection. Health reports "alive and not ready" until
    /// [`Running::ready`].
    pub(crate) async fn serve(
        &self,
        listener: TcpListener,
        add_services: impl FnOnce(ServerBuilder) -> ServerBuilder,
    ) -> anyhow::Result<Health> {
        let server = add_services(ServerBuilder::new(self.config.grpc.part())).build().await?;
        let health = server.health();
        // Half of the time is for calls in flight, so that the later phases have the other half.
        let drain_max = self.config.shutdown_timeout.duration() / 2;
        let served = server.serve(listener, self.phases.grpc.shutdown(), drain_max);
        self.phases.grpc.tasks().spawn_fallible("grpc", served);
        Ok(health)
    }

    /// Waits for the delay, then runs the phases of shutdown, unless a second signal comes.
    async fn stop(&self, delay: Duration, signals: &mut Signals) -> StopOutcome {
        let graceful = async {
            pause(delay).await;
            self.phases.finish(self.config.shutdown_timeout.duration()).await
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
}

impl Running {
    /// Reports readiness.
    pub(crate) async fn ready(health: Health) -> Self {
        health.ready().await;
        Self { health, banner: None, _kept: None }
    }

    /// Prints the banner of this process, with these facts, once the process is ready.
    #[must_use]
    pub(crate) fn with_banner(self, process: &ProcessContext, facts: &[(&str, String)]) -> Self {
        let ProcessContext { grpc_address, metrics_address, .. } = process;
        Self { banner: Some(banner::text(*grpc_address, *metrics_address, facts)), ..self }
    }

    /// Keeps something until the process has stopped.
    #[must_use]
    pub(crate) fn keeping(self, kept: impl Any) -> Self {
        Self { _kept: Some(Box::new(kept)), ..self }
    }
}
