//! One call, one trace, through edge and gateway to the service.

use std::{collections::HashSet, net::SocketAddr};

use diptych_envoy::Tracing;
use diptych_runtime::{
    Shutdown, Tasks,
    testing::{OtlpReceiver, hex},
};

use super::{
    curl::curl,
    process::eventually,
    site::{ALL, Site, deposit},
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

async fn receiver() -> OtlpReceiver {
    OtlpReceiver::start(&Tasks::new(Shutdown::new())).await
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
    let collector = receiver().await;
    let Some(site) = site(collector.address(), &[]).await else { return };
    let told = traced(&site, "alice", "01").await;
    let spans = eventually("four spans", || {
        let spans = collector.received(TRACE);
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
    assert_eq!(collector.received(TRACE).len(), 4);
}

#[tokio::test]
async fn names_of_spans_have_no_ids_in_them() {
    let collector = receiver().await;
    let Some(site) = site(collector.address(), &[]).await else { return };
    let context = format!("traceparent: 00-{TRACE}-{CALLER}-01");
    curl(&[
        "-H",
        &site.header(&ALL),
        "-H",
        &context,
        &site.edge.url("/v1/accounts/alice?consistency.at_least_as_fresh.value=x"),
    ]);
    let spans = eventually("four spans", || Some(collector.received(TRACE)).filter(|spans| spans.len() >= 4)).await;
    let names: HashSet<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, HashSet::from(["GET", "/ledger.query.v1.QueryService/GetAccount"]));
}

#[tokio::test]
async fn strangers_do_not_decide_what_is_traced() {
    let collector = receiver().await;
    let Some(site) = site(collector.address(), &["traceparent", "tracestate"]).await else { return };
    let told = traced(&site, "alice", "01").await;
    assert!(!told.contains(TRACE) && told.ends_with("-00"), "{told}");
}

#[tokio::test]
async fn context_is_passed_on_without_a_collector() {
    let Some(site) = Site::start().await else { return };
    assert_eq!(traced(&site, "alice", "01").await, format!("00-{TRACE}-{CALLER}-01"));
}
