//! Calls to the mounted services.

use diptych_proto::{
    diptych::v1::{Consistency, ConsistencyToken, Outcome, Receipt},
    ledger::{
        command::v1::{DepositRequest, OpenAccountRequest, command_service_client::CommandServiceClient},
        query::v1::{Account, GetAccountRequest, query_service_client::QueryServiceClient},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};
use tonic::{Code, Request, Status, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_types::StatusExt;
use uuid::Uuid;

use super::process::{Dev, TIMEOUT};

pub(crate) async fn channel(dev: &Dev) -> Channel {
    Channel::from_shared(dev.url()).unwrap().connect().await.unwrap()
}

/// Begins a call whose message never comes, by frames of HTTP/2 (RFC 9113). It ends with the connection.
pub(crate) async fn unfinished_call(dev: &Dev) -> TcpStream {
    const SETTINGS: u8 = 4;
    const HEADERS: u8 = 1;
    const END_HEADERS: u8 = 4;
    let address = dev.url().trim_start_matches("http://").to_owned();
    let headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/ledger.query.v1.QueryService/GetAccount"),
        (":authority", address.as_str()),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    let mut block = Vec::new();
    for (name, value) in headers {
        // Literal fields without indexing; all lengths are below 127.
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text.as_bytes());
        }
    }
    let frame = |kind: u8, flags: u8, stream: u32, body: &[u8]| {
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), body].concat()
    };
    let mut connection = TcpStream::connect(&address).await.unwrap();
    connection.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    connection.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    connection.write_all(&frame(HEADERS, END_HEADERS, 1, &block)).await.unwrap();
    connection
}

/// Opens an account and deposits 10.50 with this request id; returns the receipt of the deposit.
pub(crate) async fn deposit(channel: &Channel, account_id: &str, request_id: Uuid) -> Receipt {
    let mut commands = CommandServiceClient::new(channel.clone());
    let open = OpenAccountRequest {
        // Derived from the account, so that a repeated call repeats this request too.
        request_id: Uuid::new_v5(&Uuid::NAMESPACE_OID, account_id.as_bytes()).to_string(),
        account_id: account_id.to_owned(),
        owner_id: "me".to_owned(),
        currency_code: "EUR".to_owned(),
        ..Default::default()
    };
    commands.open_account(open).await.unwrap();
    let deposit = DepositRequest {
        request_id: request_id.to_string(),
        account_id: account_id.to_owned(),
        amount_minor: 1_050,
        currency_code: "EUR".to_owned(),
        ..Default::default()
    };
    commands.deposit(deposit).await.unwrap().into_inner().receipt.unwrap()
}

/// The balance, at least as fresh as the token.
pub(crate) async fn balance_minor(channel: &Channel, account_id: &str, token: Option<ConsistencyToken>) -> i64 {
    account(channel, account_id, token).await.unwrap().balance_minor
}

/// The account, at least as fresh as the token.
pub(crate) async fn account(
    channel: &Channel,
    account_id: &str,
    token: Option<ConsistencyToken>,
) -> Result<Account, Status> {
    let consistency = Some(Consistency { at_least_as_fresh: token, ..Consistency::default() });
    let mut request = Request::new(GetAccountRequest { account_id: account_id.to_owned(), consistency });
    request.set_timeout(TIMEOUT);
    let answer = QueryServiceClient::new(channel.clone()).get_account(request).await?;
    Ok(answer.into_inner().account.unwrap())
}

#[tokio::test]
async fn a_command_is_read_back_by_its_token() {
    let began_at = Instant::now();
    let dev = Dev::start(&[]);
    assert!(began_at.elapsed() < TIMEOUT, "started in {:?}", began_at.elapsed());
    assert!(dev.banner.contains("in memory"), "{}", dev.banner);
    let channel = channel(&dev).await;
    for service in ["", "startup", "liveness", "readiness", "ledger.query.v1.QueryService"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let answer = HealthClient::new(channel.clone()).check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
    let receipt = deposit(&channel, "alice", Uuid::new_v4()).await;
    assert_eq!(receipt.outcome(), Outcome::Committed);
    assert_eq!(balance_minor(&channel, "alice", receipt.written_at).await, 1_050);
}

#[tokio::test]
async fn acknowledged_commands_survive_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let data = ["--data", folder.path().to_str().unwrap()];
    let dev = Dev::start(&data);
    assert!(dev.banner.contains("events.db"), "{}", dev.banner);
    let request_id = Uuid::new_v4();
    let receipt = deposit(&channel(&dev).await, "alice", request_id).await;
    dev.signal("KILL");
    assert!(!dev.ended().await.0.success());

    let dev = Dev::start(&data);
    let channel = channel(&dev).await;
    assert_eq!(balance_minor(&channel, "alice", receipt.written_at.clone()).await, 1_050);
    assert_eq!(deposit(&channel, "alice", request_id).await, receipt, "the same command has the same receipt");
    assert_eq!(balance_minor(&channel, "alice", receipt.written_at).await, 1_050);
}

#[tokio::test]
async fn a_large_message_is_refused_with_its_reason() {
    let dev = Dev::start(&[]);
    let large = OpenAccountRequest { account_id: "a".repeat(2 << 20), ..Default::default() };
    let status = CommandServiceClient::new(channel(&dev).await).open_account(large).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert_eq!(status.get_details_error_info().unwrap().reason, "FIELD_TOO_LONG");
}

/// The metrics page.
pub(crate) async fn metrics(dev: &Dev) -> String {
    let address = dev.address("http://").trim_end_matches("/metrics");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn metrics_count_the_calls() {
    let dev = Dev::start(&[]);
    deposit(&channel(&dev).await, "alice", Uuid::new_v4()).await;
    let text = metrics(&dev).await;
    let counted = text.lines().find(|line| line.starts_with("diptych_rpc_calls_total") && line.contains("\"Deposit\""));
    assert!(counted.is_some_and(|line| line.contains("\"OK\"") && line.ends_with(" 1")), "{text}");
}
