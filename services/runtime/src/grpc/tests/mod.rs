//! Tests of the server on a real socket.

mod box_office;
mod raw_client;
mod reflection_client;
mod traces;
mod transport_errors;

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
    time::Duration,
};

use box_office::{TestServer, metric};
use http::{Request, Response};
use tokio::net::TcpStream;
use tonic::{Code, Status, body::Body, server::NamedService};
use tonic_types::StatusExt;
use tower::Service;

use super::Limits;

const COMMANDS: &str = "ledger.command.v1.CommandService";
const QUERIES: &str = "ledger.query.v1.QueryService";

#[tokio::test]
async fn health_reports_start_readiness_and_stop() {
    let server = TestServer::start(Limits::default()).await;
    let names = ["", "startup", "liveness", "readiness", box_office::NAME];
    assert_eq!(server.health_of(names).await, [false, false, true, false, false]);
    server.health.ready().await;
    assert_eq!(server.health_of(names).await, [true; 5]);
    server.health.not_ready().await;
    assert_eq!(server.health_of(names).await, [false, true, true, false, false]);
    assert_eq!(server.health("unknown").await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn reflection_lists_the_services() {
    let server = TestServer::start(Limits::default()).await;
    for version in super::reflection::SERVICES {
        let mut services = server.services(version).await;
        services.sort();
        let [v1, v1alpha] = super::reflection::SERVICES;
        assert_eq!(services, ["grpc.health.v1.Health", v1, v1alpha, box_office::NAME]);
    }
}

/// One of the services of the product. This server has no other of them.
#[derive(Clone)]
struct Queries;

impl NamedService for Queries {
    const NAME: &'static str = QUERIES;
}

impl Service<Request<Body>> for Queries {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        ready(Ok(Status::not_found("nothing here").into_http()))
    }
}

#[tokio::test]
async fn reflection_lists_all_services_of_the_product_if_it_has_one() {
    let server = TestServer::start_with_services(|builder| builder.add_service(Queries)).await;
    for version in super::reflection::SERVICES {
        let services = server.services(version).await;
        for name in [COMMANDS, QUERIES] {
            assert!(services.iter().any(|listed| listed == name), "{name} is not in {services:?}");
            assert!(server.describes(version, name).await, "{name}");
        }
        assert!(!server.describes(version, "unknown.v1.Nothing").await);
    }
    // The other service is listed, but not served.
    assert!(!server.health(QUERIES).await.unwrap(), "it is served, and not ready yet");
    assert_eq!(server.health(COMMANDS).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(server.call_path(&format!("/{QUERIES}/GetAccount"), &[]).await.unwrap_err().code(), Code::NotFound);
    let elsewhere = server.call_path(&format!("/{COMMANDS}/Deposit"), &[]).await.unwrap_err();
    assert_eq!(elsewhere.code(), Code::Unimplemented);
    assert!(elsewhere.message().contains("another process"), "{elsewhere:?}");
}

#[tokio::test]
async fn calls_are_answered_and_counted() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _local = metrics::set_default_local_recorder(&recorder);
    let server = TestServer::start(Limits::default()).await;
    server.health("").await.unwrap();
    server.health("").await.unwrap();
    server.health("unknown").await.unwrap_err();
    server.call("Reserve").await.unwrap();

    let text = handle.render();
    let check = ["grpc.health.v1.Health", "Check"];
    assert_eq!(metric(&text, "diptych_rpc_calls_total", &[&check[..], &["OK"]].concat()), Some(2.0), "{text}");
    assert_eq!(metric(&text, "diptych_rpc_calls_total", &[&check[..], &["NOT_FOUND"]].concat()), Some(1.0), "{text}");
    assert_eq!(metric(&text, "diptych_rpc_duration_seconds_count", &check), Some(3.0), "{text}");
    // The box office is not in the proto files of this build, so its calls are counted as "other".
    assert_eq!(metric(&text, "diptych_rpc_calls_total", &["other", "OK"]), Some(1.0), "{text}");
    assert_eq!(metric(&text, "diptych_rpc_calls_in_flight", &[]), Some(0.0), "{text}");
}

#[tokio::test]
async fn calls_over_the_limit_are_shed_with_a_reason() {
    let server = TestServer::start(Limits { calls_in_flight_max: 1, ..Limits::default() }).await;
    let held = server.begin("Wait").await;
    let shed = server.call("Reserve").await.unwrap_err();
    assert_eq!(shed.code(), Code::ResourceExhausted);
    assert_eq!(shed.get_details_error_info().unwrap().reason, "OVERLOADED");
    assert!(shed.get_details_retry_info().is_some());
    server.health("liveness").await.expect("health is not shed");
    server.box_office.open_doors();
    held.await.unwrap().unwrap();
    server.call("Reserve").await.unwrap();
}

#[tokio::test]
async fn a_cancelled_call_is_no_longer_in_flight() {
    let server = TestServer::start(Limits { calls_in_flight_max: 1, ..Limits::default() }).await;
    let held = server.begin("Wait").await;
    held.abort();
    server.box_office.until_no_call_waits().await;
    server.call("Reserve").await.unwrap();
}

#[tokio::test]
async fn connections_over_the_limit_wait() {
    let server = TestServer::start(Limits { connections_max: 1, ..Limits::default() }).await;
    let first = TcpStream::connect(server.address).await.unwrap();
    let waiting = server.begin_on_new_connection("Reserve");
    tokio::pin!(waiting);
    let early = tokio::time::timeout(Duration::from_millis(100), &mut waiting).await;
    assert!(early.is_err(), "the only connection is taken");
    drop(first);
    waiting.await.unwrap();
}

#[tokio::test]
async fn shutdown_lets_calls_finish() {
    let server = TestServer::start(Limits::default()).await;
    let held = server.begin("Wait").await;
    server.tasks.shutdown().begin();
    server.until_refusing().await;
    server.box_office.open_doors();
    held.await.unwrap().unwrap();
    server.tasks.finish(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn shutdown_cuts_off_calls_after_the_drain_time() {
    let server = TestServer::start_with_drain(Limits::default(), Duration::from_millis(50)).await;
    let _held = server.begin("Wait").await;
    server.tasks.shutdown().begin();
    server.tasks.finish(Duration::from_secs(5)).await.unwrap();
}
