//! What every process that serves has in common.
//!
//! The boot story, in order: configuration, logs, ports, then the parts that the subcommand starts; see [`crate::parts`]. Whatever is wrong
//! in settings is found before anything is started. The gRPC server comes first of all parts: it says that the process lives and is
//! not ready, for as long as the parts wait for what they need. Shutdown goes the way of the data: see [`stages`].

pub(crate) mod banner;
mod flags;
mod later;
mod name;
mod ports;
mod signals;
mod stages;
mod waiting;

use std::{any::Any, net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use diptych_kernel::Clock;
use diptych_runtime::{
    SystemClock,
    grpc::{Health, Limits, ServerBuilder},
    pause, telemetry,
};
use tokio::{net::TcpListener, time::Instant};
use tracing::{error, info};

pub(crate) use flags::{Flags, ServerFlags, ServiceFlags, after_help};
pub(crate) use later::Later;
pub(crate) use name::Role;
pub(crate) use waiting::until_there;

use self::{ports::Ports, signals::Signals, stages::Stages};
use crate::config::{self, Config, Loaded, Sources};

/// The exit status of a configuration with mistakes: nothing was started.
pub(crate) const EXIT_MISTAKE: u8 = 2;
/// The exit status after a second signal: what was under way was cut off. As shells count it, 128 and SIGINT.
const EXIT_CUT_OFF: u8 = 130;
/// How long the last spans may take to their collector.
const TRACES_SHUTDOWN_MAX: Duration = Duration::from_secs(2);

/// A process, as its parts see it.
pub(crate) struct Process {
    /// What was set.
    pub(crate) config: Config,
    /// The process's own name, the same after a restart.
    pub(crate) instance: String,
    /// The time of day.
    pub(crate) clock: Arc<dyn Clock>,
    /// Where tasks are started.
    pub(crate) stages: Stages,
    /// Where gRPC is served.
    pub(crate) grpc_address: SocketAddr,
    /// Where metrics are served.
    pub(crate) metrics_address: SocketAddr,
}

/// What a process is once it is ready.
pub(crate) struct Running {
    health: Health,
    /// What must live as long as the process.
    _kept: Option<Box<dyn Any>>,
}

/// Runs what `start` starts until a signal comes.
pub(crate) fn main(
    role: Role,
    sources: Sources,
    dumps_config: bool,
    start: impl AsyncFnOnce(&Process, TcpListener) -> anyhow::Result<Running>,
) -> anyhow::Result<ExitCode> {
    let config = match configuration(sources, dumps_config)? {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let runtime = crate::runtime(config.worker_threads.usize())?;
    let outcome = runtime.block_on(traced(role, config, start));
    // What is still under way after a second signal must not hold the process up.
    runtime.shutdown_background();
    outcome
}

/// Begins with logs and traces, and ends with what is left of the traces.
async fn traced(
    role: Role,
    config: Config,
    start: impl AsyncFnOnce(&Process, TcpListener) -> anyhow::Result<Running>,
) -> anyhow::Result<ExitCode> {
    let settings = config.telemetry.traces(&role.to_string(), role.systems(&config));
    let instance = name::of(&config.instance, role, config.listen.0.port());
    let logs = config.log.settings(vec![("role", role.to_string()), ("instance", instance.clone())]);
    let traces = telemetry::install_logs_and_traces(&logs, settings.as_ref())?;
    let stopped = run(role, instance, config, start).await;
    if !matches!(stopped, Ok(Stopped::CutOff)) {
        traces.shutdown(TRACES_SHUTDOWN_MAX).await;
    }
    stopped.map(ExitCode::from)
}

/// The configuration; or, where there is nothing more to do, how the program ends.
pub(crate) fn configuration(sources: Sources, dumps_config: bool) -> anyhow::Result<Result<Config, ExitCode>> {
    match config::load(sources) {
        Err(mistakes) => {
            eprintln!("{mistakes}");
            Ok(Err(ExitCode::from(EXIT_MISTAKE)))
        }
        Ok(loaded) if dumps_config => {
            print!("{}", config::dump(&loaded)?);
            Ok(Err(ExitCode::SUCCESS))
        }
        Ok(Loaded { config, .. }) => Ok(Ok(config)),
    }
}

async fn run(
    role: Role,
    instance: String,
    config: Config,
    start: impl AsyncFnOnce(&Process, TcpListener) -> anyhow::Result<Running>,
) -> anyhow::Result<Stopped> {
    let began_at = Instant::now();
    let mut signals = Signals::install().context("cannot listen for signals")?;
    let ports = Ports::bind(&config).await?;
    let metrics = telemetry::install_metrics()?;
    let process = Process::new(instance, config, &ports);
    let Process { stages, instance, grpc_address, metrics_address, .. } = &process;
    let measured = metrics.serve(ports.metrics.listener, stages.watch.shutdown());
    stages.watch.tasks().spawn_fallible("metrics", measured);
    info!(%role, instance, grpc = %grpc_address, metrics = %metrics_address, "listening");

    let running = tokio::select! {
        running = start(&process, ports.grpc.listener) => running?,
        () = stages.any_stopped() => bail!("a part has failed, the log has the story"),
        signal = signals.next() => {
            info!(signal, "stopping before it was ready, a second signal exits at once");
            return Ok(process.stop(Duration::ZERO, &mut signals).await);
        }
    };
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
    running.health.not_ready().await;
    let delay = if failed { Duration::ZERO } else { process.config.drain_delay.duration() };
    Ok(match process.stop(delay, &mut signals).await {
        Stopped::InOrder if failed => Stopped::NotWell,
        stopped => stopped,
    })
}

/// How a process has stopped.
enum Stopped {
    /// All of it, in time.
    InOrder,
    /// A part of it failed, or was not finished in time.
    NotWell,
    /// By a second signal.
    CutOff,
}

impl From<Stopped> for ExitCode {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::InOrder => Self::SUCCESS,
            Stopped::NotWell => Self::FAILURE,
            Stopped::CutOff => Self::from(EXIT_CUT_OFF),
        }
    }
}

impl Process {
    fn new(instance: String, config: Config, ports: &Ports) -> Self {
        Self {
            instance,
            config,
            clock: Arc::new(SystemClock),
            stages: Stages::new(),
            grpc_address: ports.grpc.address,
            metrics_address: ports.metrics.address,
        }
    }

    /// Serves gRPC: what is mounted, health and reflection. Health says "alive and not ready" until it is told otherwise.
    pub(crate) async fn serve(
        &self,
        listener: TcpListener,
        add_services: impl FnOnce(ServerBuilder) -> ServerBuilder,
    ) -> anyhow::Result<Health> {
        let builder = ServerBuilder::new(Limits::from(&self.config.grpc));
        let server = add_services(builder).build().await?;
        let health = server.health();
        // Half of the time for the calls that are open, so that the stages behind have the other half.
        let drain_max = self.config.shutdown_timeout.duration() / 2;
        let served = server.serve(listener, self.stages.server.shutdown(), drain_max);
        self.stages.server.tasks().spawn_fallible("grpc", served);
        Ok(health)
    }

    /// Goes on for a while, then stops in order, unless a second signal comes.
    async fn stop(&self, delay: Duration, signals: &mut Signals) -> Stopped {
        let in_order = async {
            pause(delay).await;
            self.stages.finish(self.config.shutdown_timeout.duration()).await
        };
        tokio::select! {
            finished = in_order => {
                info!("stopped");
                if finished { Stopped::InOrder } else { Stopped::NotWell }
            }
            signal = signals.next() => {
                error!(signal, "second signal, exiting at once");
                Stopped::CutOff
            }
        }
    }
}

impl Running {
    /// Says that calls may come.
    pub(crate) async fn ready(health: Health) -> Self {
        health.ready().await;
        Self { health, _kept: None }
    }

    /// Keeps something until the process has stopped.
    #[must_use]
    pub(crate) fn keeping(self, kept: impl Any) -> Self {
        Self { _kept: Some(Box::new(kept)), ..self }
    }
}
