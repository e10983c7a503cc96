//! Metrics in the text format of Prometheus, and their HTTP endpoint.

use std::{convert::Infallible, future::Future, time::Duration};

use http::{Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use metrics::Gauge;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tonic::{body::Body, transport};
use tower::service_fn;

use super::process;
use crate::{Shutdown, connection, pause};

/// Bucket bounds of histograms that end in `_seconds`: from the latency of a cache to the longest timeout of a caller.
const SECONDS: [f64; 16] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];
/// Bucket bounds of all other histograms: sizes of batches.
const COUNTS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0, 16_384.0];
/// Largest number of open connections; further ones wait.
const CONNECTIONS_MAX: usize = 32;
/// Interval at which recorded samples are moved to their buckets, so that they do not pile up between scrapes.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Metrics cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("metrics cannot be set up: {0}")]
pub struct MetricsError(#[from] BuildError);

/// The exporter of this process's metrics.
#[derive(Clone)]
pub struct MetricsExporter {
    handle: PrometheusHandle,
}

/// Installs the metrics recorder of this process. Call it once, and early: metrics registered before it are not
/// recorded.
///
/// # Errors
/// If a recorder was installed before.
pub fn install_metrics() -> Result<MetricsExporter, MetricsError> {
    Ok(MetricsExporter { handle: builder()?.install_recorder()? })
}

pub(super) fn builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets(&COUNTS)
}

impl MetricsExporter {
    #[cfg(test)]
    pub(super) fn of(handle: PrometheusHandle) -> Self {
        Self { handle }
    }

    /// The current metrics in the text format of Prometheus.
    #[must_use]
    pub fn render(&self) -> String {
        self.handle.render() + &process::render()
    }

    /// Serves `GET /metrics` on a bound listener, and runs the upkeep of the recorder, until shutdown begins.
    ///
    /// # Errors
    /// If the transport fails.
    pub async fn serve(self, listener: TcpListener, shutdown: Shutdown) -> Result<(), transport::Error> {
        let metrics = self.clone();
        let service = service_fn(move |request: Request<Body>| {
            let response = metrics.respond(&request);
            async move { Ok::<_, Infallible>(response) }
        });
        let connections = connection::accept(listener, CONNECTIONS_MAX, Gauge::noop());
        let served = transport::Server::builder().accept_http1(true).serve_with_incoming(service, connections);
        tokio::select! {
            served = served => served,
            () = self.run_upkeep() => Ok(()),
            () = shutdown.begun() => Ok(()),
        }
    }

    fn respond(&self, request: &Request<Body>) -> Response<Body> {
        let (status, text) = match (request.method(), request.uri().path()) {
            (&Method::GET, "/metrics") => (StatusCode::OK, self.render()),
            (_, "/metrics") => (StatusCode::METHOD_NOT_ALLOWED, "use GET\n".to_owned()),
            _ => (StatusCode::NOT_FOUND, "metrics are at /metrics\n".to_owned()),
        };
        let mut response = Response::new(Body::new(text));
        *response.status_mut() = status;
        let format = http::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, format);
        response
    }

    fn run_upkeep(&self) -> impl Future<Output = ()> + Send + use<> {
        let handle = self.handle.clone();
        async move {
            loop {
                pause(UPKEEP_INTERVAL).await;
                handle.run_upkeep();
            }
        }
    }
}
