//! A theatre's box office, served on a real socket.

mod asking;
mod faults;
mod theatre;
mod traces;
mod wire;

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use theatre::{Running, metric};
use tokio::net::TcpStream;
use tonic::{Code, Status, body::Body, server::NamedService};
use tonic_types::StatusExt;
use tower::Service;

use super::Limits;

const COMMANDS: &str = "ledger.command.v1.CommandService";
const QUERIES: &str = "ledger.query.v1.QueryService";

#[tokio::test]
async fn health_follows_the_life_of_the_process() {
    let running = Running::start(Limits::default()).await;
    let names = ["", "startup", "liveness", "readiness", theatre::NAME];
    assert_eq!(running.health_of(names).await, [false, false, true, false, false]);
    running.health.ready().await;
    assert_eq!(running.health_of(names).await, [true; 5]);
    running.health.not_ready().await;
    assert_eq!(running.health_of(names).await, [false, true, true, false, false]);
    assert_eq!(running.health("nobody").await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn reflection_names_what_is_mounted() {
    let running = Running::start(Limits::default()).await;
    for version in super::reflection::SERVICES {
        let mut services = running.services(version).await;
        services.sort();
        let [v1, v1alpha] = super::reflection::SERVICES;
        assert_eq!(services, ["grpc.health.v1.Health", v1, v1alpha, theatre::NAME]);
    }
}

/// One of the product's services, of which this process has no other.
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
async fn reflection_names_all_of_the_product_where_one_of_it_is_mounted() {
    let running = Running::start_mounting(|server| server.mount(Queries)).await;
    for version in super::reflection::SERVICES {
        let services = running.services(version).await;
        for name in [COMMANDS, QUERIES] {
            assert!(services.iter().any(|listed| listed == name), "{name} is not in {services:?}");
            assert!(running.describes(version, name).await, "{name}");
        }
        assert!(!running.describes(version, "nobody.v1.Nothing").await);
    }
    // It is named, and that is all.
    assert!(!running.health(QUERIES).await.unwrap(), "it is mounted, and not ready yet");
    assert_eq!(running.health(COMMANDS).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(running.call_path(&format!("/{QUERIES}/GetAccount"), &[]).await.unwrap_err().code(), Code::NotFound);
    let elsewhere = running.call_path(&format!("/{COMMANDS}/Deposit"), &[]).await.unwrap_err();
    assert_eq!(elsewhere.code(), Code::Unimplemented);
    assert!(elsewhere.message().contains("another process"), "{elsewhere:?}");
}

#[tokio::test]
async fn calls_are_answered_and_counted() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _local = metrics::set_default_local_recorder(&recorder);
    let running = Running::start(Limits::default()).await;
    running.health("").await.unwrap();
    running.health("").await.unwrap();
    running.health("nobody").await.unwrap_err();
    running.call("Reserve").await.unwrap();

    let text = handle.render();
    let check = ["grpc.health.v1.Health", "Check"];
    assert_eq!(metric(&text, "diptych_rpc_calls_total", &[&check[..], &["OK"]].concat()), Some(2.0), "{text}");
    assert_eq!(metric(&text, "diptych_rpc_calls_total", &[&check[..], &["NOT_FOUND"]].concat()), Some(1.0), "{text}");
    assert_eq!(metric(&text, "diptych_rpc_duration_seconds_count", &check), Some(3.0), "{text}");
    // The theatre is not in the proto files of this build, so its calls are counted, but under no name of their own.
    assert_eq!(metric(&text, "diptych_rpc_calls_total", &["other", "OK"]), Some(1.0), "{text}");
    assert_eq!(metric(&text, "diptych_rpc_calls_in_flight", &[]), Some(0.0), "{text}");
}

#[tokio::test]
async fn calls_over_the_limit_are_shed_with_a_reason() {
    let running = Running::start(Limits { calls_in_flight_max: 1, ..Limits::default() }).await;
    let held = running.begin("Wait").await;
    let shed = running.call("Reserve").await.unwrap_err();
    assert_eq!(shed.code(), Code::ResourceExhausted);
    assert_eq!(shed.get_details_error_info().unwrap().reason, "OVERLOADED");
    assert!(shed.get_details_retry_info().is_some());
    running.health("liveness").await.expect("health is answered under any load");
    running.theatre.open_doors();
    held.await.unwrap().unwrap();
    running.call("Reserve").await.unwrap();
}

#[tokio::test]
async fn a_cancelled_call_gives_its_place_back() {
    let running = Running::start(Limits { calls_in_flight_max: 1, ..Limits::default() }).await;
    let held = running.begin("Wait").await;
    held.abort();
    running.theatre.until_nobody_waits().await;
    running.call("Reserve").await.unwrap();
}

#[tokio::test]
async fn connections_over_the_limit_wait_their_turn() {
    let running = Running::start(Limits { connections_max: 1, ..Limits::default() }).await;
    let first = TcpStream::connect(running.address).await.unwrap();
    let waiting = running.begin_on_new_connection("Reserve");
    tokio::pin!(waiting);
    let early = tokio::time::timeout(Duration::from_millis(100), &mut waiting).await;
    assert!(early.is_err(), "the only place is taken");
    drop(first);
    waiting.await.unwrap();
}

#[tokio::test]
async fn shutdown_lets_calls_finish() {
    let running = Running::start(Limits::default()).await;
    let held = running.begin("Wait").await;
    running.tasks.shutdown().begin();
    running.until_refusing().await;
    running.theatre.open_doors();
    held.await.unwrap().unwrap();
    running.tasks.finish(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn shutdown_does_not_wait_for_ever() {
    let running = Running::start_with_drain(Limits::default(), Duration::from_millis(50)).await;
    let _held = running.begin("Wait").await;
    running.tasks.shutdown().begin();
    running.tasks.finish(Duration::from_secs(5)).await.unwrap();
}
