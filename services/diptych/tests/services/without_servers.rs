//! Services whose servers cannot be reached.

use std::{
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    process::Stdio,
    time::Duration,
};

use diptych_proto::ledger::{
    command::v1::{DepositRequest, command_service_client::CommandServiceClient},
    query::v1::{GetAccountRequest, query_service_client::QueryServiceClient},
};
use tokio::time::Instant;
use tonic::{Code, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_types::StatusExt;

use super::{
    process::{diptych, ended, kill},
    service::Service,
};

/// The longest time to stop for a process with no work in flight: half of its shutdown timeout, for which no phase
/// waits.
const STOP_MAX: Duration = Duration::from_secs(60);

/// Settings with servers that do not exist: a port that was free a moment ago.
pub(crate) fn unreachable_servers() -> Vec<(&'static str, String)> {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    vec![
        ("DIPTYCH_POSTGRES__URL", format!("postgres://ada:hush@{free}/bank")),
        ("DIPTYCH_KAFKA__BOOTSTRAP_SERVERS", free.clone()),
        ("DIPTYCH_SCYLLA__CONTACT_POINTS", free.clone()),
        ("DIPTYCH_MEMCACHED__SERVERS", free),
    ]
}

pub(crate) fn start(role: &str) -> Service {
    let settings = unreachable_servers();
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Service::start(role, &settings)
}

/// Starts a service that waits for a server: it logs that, is alive, and is not ready.
async fn start_waiting(role: &str, what: &str, served: &[&str]) -> Service {
    let mut service = start(role);
    let waiting = service.until_logged(|line| line["message"] == "not available, retrying");
    let logged = waiting["what"].as_str().unwrap();
    assert!(logged.contains(what) && logged.contains(" at 127.0.0.1:"), "{waiting:#}");
    assert!(!waiting["reason"].as_str().unwrap().is_empty(), "{waiting:#}");
    assert_eq!(service.health("liveness").await, ServingStatus::Serving);
    for name in ["startup", "readiness", ""].iter().chain(served) {
        assert_eq!(service.health(name).await, ServingStatus::NotServing, "{role}: {name}");
    }
    service
}

async fn assert_stops(service: Service) {
    let signalled_at = Instant::now();
    service.signal("TERM");
    let (status, log) = service.ended().await;
    assert!(signalled_at.elapsed() < STOP_MAX, "{:?}", signalled_at.elapsed());
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
    let service = start_waiting("command", "Postgres", &["ledger.command.v1.CommandService"]).await;
    let deposit = DepositRequest::default();
    let status = CommandServiceClient::new(service.channel().await).deposit(deposit).await.unwrap_err();
    assert_unavailable(&status, "WRITE_UNAVAILABLE");
    assert_stops(service).await;
}

#[tokio::test]
async fn the_query_service_waits_for_scylla() {
    let service = start_waiting("query", "ScyllaDB", &["ledger.query.v1.QueryService"]).await;
    let query = GetAccountRequest::default();
    let status = QueryServiceClient::new(service.channel().await).get_account(query).await.unwrap_err();
    assert_unavailable(&status, "READ_UNAVAILABLE");
    assert_stops(service).await;
}

#[tokio::test]
async fn relay_and_projector_serve_health_while_they_wait() {
    for role in ["relay", "projector"] {
        assert_stops(start_waiting(role, "Postgres", &[]).await).await;
    }
}

#[tokio::test]
async fn all_services_in_one_process_wait_for_postgres() {
    let served = ["ledger.command.v1.CommandService", "ledger.query.v1.QueryService"];
    assert_stops(start_waiting("all", "Postgres", &served).await).await;
}

#[tokio::test]
async fn the_exit_status_of_health_is_that_of_the_process() {
    let service = start_waiting("relay", "Postgres", &[]).await;
    let health = |to: &str, name| ended(diptych(&["health", "--to", to, "--service", name]).output().unwrap());
    assert_eq!(health(&service.url(), "liveness"), (0, "SERVING\n".to_owned(), String::new()));
    assert_eq!(health(&service.url(), "readiness"), (1, "NOT_SERVING\n".to_owned(), String::new()));
    let (status, out, errors) = health(&service.url(), "readines");
    assert_eq!((status, out.as_str()), (1, ""), "{errors}");
    assert!(errors.contains("does not tell its readines"), "{errors}");
    let url = service.url();
    assert_stops(service).await;
    let (status, _, errors) = health(&url, "readiness");
    assert!(status == 1 && errors.contains("cannot connect to"), "{errors}");
}

/// Other tests set a longer timeout.
#[test]
fn a_process_stops_within_the_default_shutdown_timeout() {
    let mut command = diptych(&["all", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"]);
    command.envs(unreachable_servers()).env("DIPTYCH_LOG__FORMAT", "json");
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut stderr, mut log) = (BufReader::new(child.stderr.take().unwrap()), String::new());
    while !log.contains("not available, retrying") && stderr.read_line(&mut log).unwrap() > 0 {}
    kill(child.id(), "TERM");
    stderr.read_to_string(&mut log).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{log}");
}

#[test]
fn the_configured_instance_name_is_logged() {
    let settings = unreachable_servers();
    let mut settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    settings.push(("DIPTYCH_INSTANCE", "relay-7"));
    let service = Service::start("relay", &settings);
    let listening = service.log.iter().find(|line| line["message"] == "listening").unwrap();
    assert_eq!((&listening["instance"], &listening["role"]), (&"relay-7".into(), &"relay".into()));
}

#[test]
fn a_migration_without_servers_ends_at_the_timeout() {
    let mut command = diptych(&["migrate", "--timeout", "0"]);
    let (status, out, errors) = ended(command.envs(unreachable_servers()).output().unwrap());
    assert_eq!((status, out.as_str()), (1, ""), "{errors}");
    assert!(
        errors.contains("error: tables in Postgres: cannot use the write database (Postgres) at 127.0.0.1:"),
        "{errors}"
    );
    assert!(errors.contains("set its address with --postgres, DIPTYCH_POSTGRES__URL or postgres.url"), "{errors}");
    assert!(!errors.contains("hush"), "{errors}");
}

#[test]
fn a_verification_without_servers_verifies_nothing() {
    let (status, out, errors) = ended(diptych(&["verify"]).envs(unreachable_servers()).output().unwrap());
    assert_eq!((status, out.as_str()), (2, ""), "{errors}");
    let named = "nothing was verified: cannot use the write database (Postgres) at 127.0.0.1:";
    assert!(errors.starts_with(named) && !errors.contains("hush"), "{errors}");
    assert!(errors.contains("set its address with --postgres, DIPTYCH_POSTGRES__URL or postgres.url"), "{errors}");
}
