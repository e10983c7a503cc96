//! An OTLP receiver that keeps the spans it is sent.

use std::{net::SocketAddr, sync::Arc, time::Duration};

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

use crate::Tasks;

/// The longest time from the end of a span to its arrival.
const ARRIVAL_MAX: Duration = Duration::from_secs(60);

/// Receives spans by OTLP over gRPC and keeps all of them, in the order of their arrival.
#[derive(Clone, Debug)]
pub struct OtlpReceiver {
    address: SocketAddr,
    spans: Arc<watch::Sender<Vec<Span>>>,
}

impl OtlpReceiver {
    /// Starts to listen on a free local port, in a task of `tasks`.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start(tasks: &Tasks) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let receiver = Self { address, spans: Arc::new(watch::Sender::new(Vec::new())) };
        // Tonic's server, not that of the product, which would trace the calls of the exporter.
        let server = Server::builder().add_service(TraceServiceServer::new(receiver.clone()));
        tasks.spawn_fallible("otlp receiver", server.serve_with_incoming(TcpIncoming::from(listener)));
        receiver
    }

    /// The address on which it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL for exporters.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All spans received so far.
    #[must_use]
    pub fn all(&self) -> Vec<Span> {
        self.spans.borrow().clone()
    }

    /// The spans received so far of the trace with this id, in lowercase hex.
    #[must_use]
    pub fn received(&self, trace_id: &str) -> Vec<Span> {
        self.all().into_iter().filter(|span| hex(&span.trace_id) == trace_id).collect()
    }

    /// Waits until the spans of a trace are complete by `is_complete`, and returns them.
    ///
    /// # Panics
    /// When they are not within 60 seconds.
    pub async fn trace(&self, trace_id: &str, is_complete: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        self.select(|span| hex(&span.trace_id) == trace_id, is_complete).await
    }

    /// Waits until the spans chosen by `filter` are complete by `is_complete`, and returns them.
    ///
    /// # Panics
    /// When they are not within 60 seconds.
    pub async fn select(&self, filter: impl Fn(&Span) -> bool, is_complete: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        let mut spans = self.spans.subscribe();
        let selected = |all: &[Span]| -> Vec<Span> { all.iter().filter(|span| filter(span)).cloned().collect() };
        let arrived = timeout(ARRIVAL_MAX, spans.wait_for(|all| is_complete(&selected(all)))).await.map(drop);
        let found = selected(&self.all());
        let names: Vec<&str> = found.iter().map(|span| span.name.as_str()).collect();
        assert!(arrived.is_ok(), "some spans did not arrive, only {names:?}");
        found
    }
}

#[tonic::async_trait]
impl TraceService for OtlpReceiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let scopes = request.into_inner().resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        self.spans.send_modify(|spans| spans.extend(scopes.flat_map(|scope| scope.spans)));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// Bytes in lowercase hex, as trace ids and span ids are written.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
