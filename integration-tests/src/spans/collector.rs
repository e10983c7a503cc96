//! Where the traces go.

use std::{sync::Arc, time::Duration};

use diptych_runtime::Tasks;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    trace::v1::Span,
};
use tokio::{net::TcpListener, sync::watch, time::timeout};
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

/// How long a span may take from its end to here.
const ARRIVAL_MAX: Duration = Duration::from_secs(20);

/// Keeps every span that is exported to it.
#[derive(Clone, Debug)]
pub struct Collector {
    spans: Arc<watch::Sender<Vec<Span>>>,
}

impl Collector {
    /// Listens, by OTLP over gRPC; returns where.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start(tasks: &Tasks) -> (Self, String) {
        let collector = Self { spans: Arc::new(watch::Sender::new(Vec::new())) };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        // The transport's own server: that of the product would trace the calls of the exporter.
        let server = Server::builder().add_service(TraceServiceServer::new(collector.clone()));
        tasks.spawn_fallible("collector", server.serve_with_incoming(TcpIncoming::from(listener)));
        (collector, endpoint)
    }

    /// All spans so far.
    #[must_use]
    pub fn all(&self) -> Vec<Span> {
        self.spans.borrow().clone()
    }

    /// The spans of a trace, once they are as a test waits for.
    ///
    /// # Panics
    /// When they never are.
    pub async fn trace(&self, trace_id: &str, is_there: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        self.select(|span| hex(&span.trace_id) == trace_id, is_there).await
    }

    /// Some of all spans, once they are as a test waits for.
    ///
    /// # Panics
    /// When they never are.
    pub async fn select(&self, which: impl Fn(&Span) -> bool, is_there: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        let mut spans = self.spans.subscribe();
        let selected = |all: &[Span]| -> Vec<Span> { all.iter().filter(|span| which(span)).cloned().collect() };
        let arrived = timeout(ARRIVAL_MAX, spans.wait_for(|all| is_there(&selected(all)))).await.map(drop);
        let found = selected(&self.all());
        let names: Vec<&str> = found.iter().map(|span| span.name.as_str()).collect();
        assert!(arrived.is_ok(), "not all spans came, only {names:?}");
        found
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let scopes = request.into_inner().resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        self.spans.send_modify(|spans| spans.extend(scopes.flat_map(|scope| scope.spans)));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// Ids as people read them.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
