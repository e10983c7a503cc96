//! Trace context through edge and gateway to the service.

use std::{collections::HashSet, net::SocketAddr};

use diptych_envoy::Tracing;
use diptych_runtime::{
    Shutdown, Tasks,
    testing::{OtlpReceiver, hex},
};

use super::{
    curl::curl,
    harness::{ALL, EnvoyHarness, deposit},
    process::eventually,
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

async fn start_receiver() -> OtlpReceiver {
    OtlpReceiver::start(&Tasks::new(Shutdown::new())).await
}

async fn start(otlp_address: SocketAddr, headers_dropped: &[&str]) -> Option<EnvoyHarness> {
    let tracing = || Some(Tracing { host: "127.0.0.1".into(), port: otlp_address.port(), sampled_per_million: 0 });
    let change_gateway = |gateway: &mut diptych_envoy::GatewaySettings| gateway.process.tracing = tracing();
    let change_edge = |edge: &mut diptych_envoy::EdgeSettings| {
        edge.process.tracing = tracing();
        edge.headers_dropped = headers_dropped.iter().copied().map(str::to_owned).collect();
    };
    EnvoyHarness::start_with(change_gateway, change_edge).await
}

/// Deposits with a trace context; returns the context that the service received.
async fn deposit_with_context(harness: &EnvoyHarness, account_id: &str, sampled: &str) -> String {
    let mut request = harness.request(deposit(account_id));
    let context = format!("00-{TRACE}-{CALLER}-{sampled}");
    request.metadata_mut().insert("traceparent", context.parse().unwrap());
    harness.commands().deposit(request).await.unwrap();
    let received = harness.backends.iter().flat_map(|backend| backend.stub.calls(account_id)).next().unwrap();
    received.get("traceparent").unwrap().to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_call_is_one_trace_from_caller_to_service() {
    let receiver = start_receiver().await;
    let Some(harness) = start(receiver.address(), &[]).await else { return };
    let context = deposit_with_context(&harness, "alice", "01").await;
    let spans = eventually("four spans", || {
        let spans = receiver.received(TRACE);
        (spans.len() >= 4).then_some(spans)
    })
    .await;
    assert_eq!(spans.len(), 4, "edge and gateway each have a span for the call and one for the attempt");
    // From the service back to the caller, no parent is missing.
    let mut parent = context.split('-').nth(2).unwrap().to_owned();
    for _ in 0..4 {
        let span = spans.iter().find(|span| hex(&span.span_id) == parent).expect("every parent was exported");
        parent = hex(&span.parent_span_id);
    }
    assert_eq!(parent, CALLER);
    assert!(spans.iter().all(|span| span.name == "/ledger.command.v1.CommandService/Deposit"));
    let line = eventually("a log line", || harness.edge.logged(TRACE)).await;
    assert_eq!(line["trace_id"], TRACE);

    assert!(
        deposit_with_context(&harness, "bob", "00").await.starts_with(&format!("00-{TRACE}-")),
        "the context is passed on without being traced"
    );
    assert_eq!(receiver.received(TRACE).len(), 4);
}

#[tokio::test]
async fn span_names_contain_no_ids() {
    let receiver = start_receiver().await;
    let Some(harness) = start(receiver.address(), &[]).await else { return };
    let context = format!("traceparent: 00-{TRACE}-{CALLER}-01");
    curl(&[
        "-H",
        &harness.header(&ALL),
        "-H",
        &context,
        &harness.edge.url("/v1/accounts/alice?consistency.at_least_as_fresh.value=x"),
    ]);
    let spans = eventually("four spans", || Some(receiver.received(TRACE)).filter(|spans| spans.len() >= 4)).await;
    let names: HashSet<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, HashSet::from(["GET", "/ledger.query.v1.QueryService/GetAccount"]));
}

#[tokio::test]
async fn an_edge_can_ignore_callers_trace_contexts() {
    let receiver = start_receiver().await;
    let Some(harness) = start(receiver.address(), &["traceparent", "tracestate"]).await else { return };
    let context = deposit_with_context(&harness, "alice", "01").await;
    assert!(!context.contains(TRACE) && context.ends_with("-00"), "{context}");
}

#[tokio::test]
async fn context_is_passed_on_without_a_collector() {
    let Some(harness) = EnvoyHarness::start().await else { return };
    assert_eq!(deposit_with_context(&harness, "alice", "01").await, format!("00-{TRACE}-{CALLER}-01"));
}
