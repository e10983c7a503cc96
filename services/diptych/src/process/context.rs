//! A running process, as its parts use it.

use std::{any::Any, net::SocketAddr, sync::Arc};

use diptych_kernel::Clock;
use diptych_runtime::{
    SystemClock,
    grpc::{Health, ServerBuilder},
};
use tokio::net::TcpListener;

use super::{banner, phases::ShutdownPhases, ports::BoundPorts};
use crate::config::Config;

/// A running process, as its parts use it.
pub(crate) struct ProcessContext {
    pub(crate) config: Config,
    /// The instance name: unique, and the same after a restart.
    pub(crate) instance: String,
    pub(crate) clock: Arc<dyn Clock>,
    /// Task groups, one for each phase of shutdown.
    pub(crate) phases: ShutdownPhases,
    /// Address of the gRPC server.
    pub(crate) grpc_address: SocketAddr,
    /// Address of the metrics server.
    pub(crate) metrics_address: SocketAddr,
}

/// A process that is ready.
pub(crate) struct Running {
    pub(super) health: Health,
    /// Text to print once the process is ready.
    pub(super) banner: Option<String>,
    /// Kept until the process has stopped.
    _kept: Option<Box<dyn Any>>,
}

impl ProcessContext {
    pub(super) fn new(instance: String, config: Config, ports: &BoundPorts) -> Self {
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
