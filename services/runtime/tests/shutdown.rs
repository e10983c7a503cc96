//! Traces of a process that ends, on a runtime of one thread: the connection that the last spans go over must not wait for whoever waits for them.

use std::{sync::Arc, time::Duration};

use diptych_runtime::{
    Shutdown, Tasks,
    telemetry::{LogFormat, TraceSettings, install_logs_and_traces},
    trace,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
    trace_service_server::{TraceService, TraceServiceServer},
};
use parking_lot::Mutex;
use tokio::{net::TcpListener, time::Instant};
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};
use tracing::info_span;

#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<String>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let scopes = request.into_inner().resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        self.0.lock().extend(scopes.flat_map(|scope| scope.spans).map(|span| span.name));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tokio::test]
async fn the_last_spans_are_exported() {
    let tasks = Tasks::new(Shutdown::new());
    let collector = Collector::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let server = Server::builder().add_service(TraceServiceServer::new(collector.clone()));
    tasks.spawn_fallible("collector", server.serve_with_incoming(TcpIncoming::from(listener)));

    // So long that nothing is exported but by the shutdown.
    let settings =
        TraceSettings { export_interval: Duration::from_secs(600), ..TraceSettings::new(endpoint, "theatre") };
    let traces = install_logs_and_traces("info", LogFormat::Text, Some(&settings)).unwrap();
    assert!(trace::is_on());
    for name in ["first", "last"] {
        info_span!(target: trace::TARGET, parent: None, "work", otel.name = name).in_scope(|| ());
    }
    let began_at = Instant::now();
    traces.shutdown(Duration::from_secs(30)).await;
    assert!(began_at.elapsed() < Duration::from_secs(10), "{:?}", began_at.elapsed());
    assert_eq!(*collector.0.lock(), ["first", "last"]);
    assert!(!trace::is_on(), "nobody makes spans any more");
}
