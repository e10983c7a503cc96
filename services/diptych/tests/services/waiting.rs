//! Without their servers.

use std::{net::TcpListener, time::Duration};

use diptych_proto::ledger::{
    command::v1::{DepositRequest, command_service_client::CommandServiceClient},
    query::v1::{GetAccountRequest, query_service_client::QueryServiceClient},
};
use tokio::time::Instant;
use tonic::{Code, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_types::StatusExt;

use super::{
    process::{diptych, ended},
    service::Service,
};

/// How long a process may take to stop that has nothing under way.
const STOP_MAX: Duration = Duration::from_secs(2);

/// Settings that name servers which are not there. The port was free a moment ago, and nobody takes it.
fn nowhere() -> Vec<(&'static str, String)> {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    vec![
        ("DIPTYCH_POSTGRES__URL", format!("postgres://ada:hush@{free}/bank")),
        ("DIPTYCH_KAFKA__BOOTSTRAP_SERVERS", free.clone()),
        ("DIPTYCH_SCYLLA__CONTACT_POINTS", free.clone()),
        ("DIPTYCH_MEMCACHED__SERVERS", free),
    ]
}

fn start(role: &str) -> Service {
    let settings = nowhere();
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Service::start(role, &settings)
}

/// It says what it waits for, lives, is not ready, and stops when it is told to.
async fn waits(role: &str, what: &str, served: &[&str]) -> Service {
    let mut service = start(role);
    let waiting = service.until_logged(|line| line["message"] == "waiting until it can be reached");
    assert!(waiting["what"].as_str().unwrap().contains(what), "{waiting:#}");
    assert!(!waiting["reason"].as_str().unwrap().is_empty(), "{waiting:#}");
    assert_eq!(service.health("liveness").await, ServingStatus::Serving);
    for name in ["startup", "readiness", ""].iter().chain(served) {
        assert_eq!(service.health(name).await, ServingStatus::NotServing, "{role}: {name}");
    }
    service
}

async fn stops(service: Service) {
    let told_at = Instant::now();
    service.signal("TERM");
    let (status, log) = service.ended().await;
    assert!(told_at.elapsed() < STOP_MAX, "{:?}", told_at.elapsed());
    assert_eq!(status.code(), Some(0), "{log:#?}");
    assert!(!log.iter().any(|line| line.to_string().contains("hush")), "{log:#?}");
    assert!(log.iter().any(|line| line["message"] == "stopped"), "{log:#?}");
}

fn assert_unavailable(status: &Status, reason: &str) {
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert_eq!(status.get_details_error_info().unwrap().reason, reason);
    assert!(status.get_details_retry_info().is_some(), "{status:?}");
}

#[tokio::test]
async fn the_command_service_waits_for_postgres() {
    let service = waits("command", "Postgres", &["ledger.command.v1.CommandService"]).await;
    let deposit = DepositRequest::default();
    let status = CommandServiceClient::new(service.channel().await).deposit(deposit).await.unwrap_err();
    assert_unavailable(&status, "WRITE_UNAVAILABLE");
    stops(service).await;
}

#[tokio::test]
async fn the_query_service_waits_for_scylla() {
    let service = waits("query", "ScyllaDB", &["ledger.query.v1.QueryService"]).await;
    let query = GetAccountRequest::default();
    let status = QueryServiceClient::new(service.channel().await).get_account(query).await.unwrap_err();
    assert_unavailable(&status, "READ_UNAVAILABLE");
    stops(service).await;
}

#[tokio::test]
async fn relay_and_projector_wait_and_serve_health() {
    for role in ["relay", "projector"] {
        stops(waits(role, "Postgres", &[]).await).await;
    }
}

#[tokio::test]
async fn all_of_them_wait_in_one_process() {
    let served = ["ledger.command.v1.CommandService", "ledger.query.v1.QueryService"];
    stops(waits("all", "Postgres", &served).await).await;
}

#[test]
fn who_waits_is_called_by_the_name_that_it_was_given() {
    let settings = nowhere();
    let mut settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    settings.push(("DIPTYCH_INSTANCE", "relay-7"));
    let service = Service::start("relay", &settings);
    let listening = service.log.iter().find(|line| line["message"] == "listening").unwrap();
    assert_eq!((&listening["instance"], &listening["role"]), (&"relay-7".into(), &"relay".into()));
}

#[test]
fn a_migration_without_servers_ends_when_patience_does() {
    let mut command = diptych(&["migrate", "--patience", "0"]);
    let (status, out, errors) = ended(command.envs(nowhere()).output().unwrap());
    assert_eq!((status, out.as_str()), (1, ""), "{errors}");
    assert!(errors.contains("error: tables in Postgres: ") && !errors.contains("hush"), "{errors}");
}

#[test]
fn a_verification_without_servers_verifies_nothing() {
    let (status, out, errors) = ended(diptych(&["verify"]).envs(nowhere()).output().unwrap());
    assert_eq!((status, out.as_str()), (2, ""), "{errors}");
    assert!(errors.starts_with("nothing was verified: ") && !errors.contains("hush"), "{errors}");
}
