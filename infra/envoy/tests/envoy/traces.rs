//! One call, one trace, through edge and gateway to the service.

use std::{collections::HashSet, net::SocketAddr, sync::Arc};

use diptych_envoy::Tracing;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    trace::v1::Span,
};
use parking_lot::Mutex;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

use super::{
    curl::curl,
    process::eventually,
    site::{ALL, Site, deposit},
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// A collector that keeps what it gets.
#[derive(Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<Span>>>,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let scopes = request.into_inner().resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        self.spans.lock().extend(scopes.flat_map(|scope| scope.spans));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// Takes spans from now on.
    async fn serve(&self) -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = Server::builder()
            .add_service(TraceServiceServer::new(self.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        let handle = tokio::runtime::Handle::current().spawn(async { serving.await.unwrap() });
        (address, handle)
    }

    fn of_trace(&self, trace: &str) -> Vec<Span> {
        self.spans.lock().iter().filter(|span| hex(&span.trace_id) == trace).cloned().collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn site(collector: SocketAddr, headers_dropped: &[&str]) -> Option<Site> {
    let tracing = || Some(Tracing { host: "127.0.0.1".into(), port: collector.port(), sampled_per_million: 0 });
    let change_gateway = |gateway: &mut diptych_envoy::GatewaySettings| gateway.process.tracing = tracing();
    let change_edge = |edge: &mut diptych_envoy::EdgeSettings| {
        edge.process.tracing = tracing();
        edge.headers_dropped = headers_dropped.iter().copied().map(str::to_owned).collect();
    };
    Site::start_with(change_gateway, change_edge).await
}

/// Pays in with the caller's context; returns the context that the service got.
async fn traced(site: &Site, account_id: &str, sampled: &str) -> String {
    let mut request = site.request(deposit(account_id));
    let context = format!("00-{TRACE}-{CALLER}-{sampled}");
    request.metadata_mut().insert("traceparent", context.parse().unwrap());
    site.commands().deposit(request).await.unwrap();
    let seen = site.backends.iter().flat_map(|backend| backend.stub.calls(account_id)).next().unwrap();
    seen.get("traceparent").unwrap().to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_call_is_one_trace_from_caller_to_service() {
    let collector = Collector::default();
    let (address, serving) = collector.serve().await;
    let Some(site) = site(address, &[]).await else { return };
    let told = traced(&site, "alice", "01").await;
    let spans = eventually("four spans", || {
        let spans = collector.of_trace(TRACE);
        (spans.len() >= 4).then_some(spans)
    })
    .await;
    assert_eq!(spans.len(), 4, "edge and gateway, each with a span for the call and one for its try");
    // From the service back to the caller, no link is missing.
    let mut parent = told.split('-').nth(2).unwrap().to_owned();
    for _ in 0..4 {
        let span = spans.iter().find(|span| hex(&span.span_id) == parent).expect("no orphans");
        parent = hex(&span.parent_span_id);
    }
    assert_eq!(parent, CALLER);
    assert!(spans.iter().all(|span| span.name == "/ledger.command.v1.CommandService/Deposit"));
    let line = eventually("a log line", || site.edge.logged(TRACE)).await;
    assert_eq!(line["trace_id"], TRACE);

    assert!(traced(&site, "bob", "00").await.starts_with(&format!("00-{TRACE}-")), "not traced, but passed on");
    assert_eq!(collector.of_trace(TRACE).len(), 4);
    serving.abort();
}

#[tokio::test]
async fn names_of_spans_have_no_ids_in_them() {
    let collector = Collector::default();
    let (address, serving) = collector.serve().await;
    let Some(site) = site(address, &[]).await else { return };
    let context = format!("traceparent: 00-{TRACE}-{CALLER}-01");
    curl(&[
        "-H",
        &site.header(&ALL),
        "-H",
        &context,
        &site.edge.url("/v1/accounts/alice?consistency.at_least_as_fresh.value=x"),
    ]);
    let spans = eventually("four spans", || Some(collector.of_trace(TRACE)).filter(|spans| spans.len() >= 4)).await;
    let names: HashSet<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, HashSet::from(["GET", "/ledger.query.v1.QueryService/GetAccount"]));
    serving.abort();
}

#[tokio::test]
async fn strangers_do_not_decide_what_is_traced() {
    let collector = Collector::default();
    let (address, serving) = collector.serve().await;
    let Some(site) = site(address, &["traceparent", "tracestate"]).await else { return };
    let told = traced(&site, "alice", "01").await;
    assert!(!told.contains(TRACE) && told.ends_with("-00"), "{told}");
    serving.abort();
}

#[tokio::test]
async fn context_is_passed_on_without_a_collector() {
    let Some(site) = Site::start().await else { return };
    assert_eq!(traced(&site, "alice", "01").await, format!("00-{TRACE}-{CALLER}-01"));
}
