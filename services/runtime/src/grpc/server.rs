//! The server and its builder.

use std::{convert::Infallible, sync::Arc, time::Duration};

use diptych_proto::DESCRIPTOR_SET;
use http::{Request, Response};
use metrics::gauge;
use tokio::net::TcpListener;
use tonic::{
    body::Body,
    server::NamedService,
    service::{Routes, RoutesBuilder},
    transport,
};
use tower::Service;
use tracing::warn;

use super::{
    Health, Limits, calls,
    calls::Calls,
    json::{self, JsonTranscoder, RouteError},
    reflection,
};
use crate::{Shutdown, connection, pause};

/// The flow-control windows of a call and of a connection: enough for the fastest stream of small messages.
const CALL_WINDOW_BYTES: u32 = 256 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// Largest size of the headers of a call.
const HEADERS_BYTES_MAX: u32 = 16 * 1024;

const HEALTH: &str = "grpc.health.v1.Health";

/// Builds a [`Server`] from services.
pub struct ServerBuilder {
    limits: Limits,
    routes: RoutesBuilder,
    services: Vec<&'static str>,
    serves_json: bool,
}

/// Error of a server that cannot be built or has failed.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The descriptor set built into this program is invalid.
    #[error("reflection cannot describe the services: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The HTTP annotations of the services cannot be served as JSON.
    #[error(transparent)]
    Json(#[from] RouteError),
    /// The transport failed.
    #[error("the gRPC server failed: {0}")]
    Transport(#[from] transport::Error),
}

/// A gRPC server.
pub struct Server {
    limits: Limits,
    routes: Routes,
    calls: Arc<Calls>,
    health: Health,
    transcoder: Option<Arc<JsonTranscoder>>,
}

impl ServerBuilder {
    /// A builder without services.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, routes: RoutesBuilder::default(), services: Vec::new(), serves_json: false }
    }

    /// Adds a generated service. Its message sizes are set on the service itself, from [`Limits`].
    #[must_use]
    pub fn add_service<S>(mut self, service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        self.routes.add_service(service);
        self.services.push(S::NAME);
        self
    }

    /// Serves JSON over HTTP/1.1 and HTTP/2 on the same port, for every method with a `google.api.http` annotation.
    /// Without this, only the gateway does.
    #[must_use]
    pub fn with_json(self) -> Self {
        Self { serves_json: true, ..self }
    }

    /// Adds health and reflection, and builds the server. Health reports "live and not ready" until [`Health::ready`].
    ///
    /// # Errors
    /// If the descriptor set built into this program is invalid.
    pub async fn build(mut self) -> Result<Server, ServeError> {
        let (reporter, health) = tonic_health::server::health_reporter();
        let transcoder = self.serves_json.then(|| {
            let (received_max, sent_max) = (self.limits.message_received_bytes_max, self.limits.message_sent_bytes_max);
            JsonTranscoder::new(DESCRIPTOR_SET, &self.services, received_max, sent_max).map(Arc::new)
        });
        let transcoder = transcoder.transpose()?;
        let health_of = Health::starting(reporter, self.services.clone()).await;
        self.services.push(HEALTH);
        self.services.extend(reflection::SERVICES);
        self.routes.add_service(health);
        reflection::add_services(&mut self.routes, &self.services)?;
        let calls = Calls::new(&self.services, &self.limits);
        Ok(Server {
            routes: self.routes.routes().prepare(),
            calls: Arc::new(calls),
            health: health_of,
            limits: self.limits,
            transcoder,
        })
    }
}

impl Server {
    /// The health of the server.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Serves a bound listener until shutdown begins. Then no connection is accepted, open calls are completed, and
    /// those that still run after `drain_max` are cut off.
    ///
    /// # Errors
    /// If the transport fails.
    pub async fn serve(self, listener: TcpListener, shutdown: Shutdown, drain_max: Duration) -> Result<(), ServeError> {
        let connections = connection::accept(listener, self.limits.connections_max, gauge!("diptych_rpc_connections"));
        let server = transport(&self.limits).accept_http1(self.transcoder.is_some());
        let service = json::serve(calls::monitor(self.routes, self.calls), self.transcoder);
        let served = server.serve_with_incoming_shutdown(service, connections, shutdown.begun());
        let cut_off = async {
            shutdown.begun().await;
            pause(drain_max).await;
        };
        tokio::select! {
            served = served => Ok(served?),
            () = cut_off => {
                warn!(drain_max_ms = drain_max.as_millis(), "cutting off calls that did not finish in time");
                Ok(())
            }
        }
    }
}

fn transport(limits: &Limits) -> transport::Server {
    transport::Server::builder()
        .initial_stream_window_size(CALL_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(limits.calls_per_connection_max)
        .http2_max_header_list_size(HEADERS_BYTES_MAX)
        .http2_keepalive_interval(Some(limits.keepalive_interval))
        .http2_keepalive_timeout(Some(limits.keepalive_timeout))
        // Without a grace period: with one, tonic 0.14 cuts the connection after age and grace instead of closing it
        // gracefully.
        .max_connection_age(limits.connection_age_max)
}
