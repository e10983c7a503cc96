//! Calls from web pages: gRPC-Web and CORS.

use std::fs;

use diptych_proto::ledger::query::v1::{GetAccountRequest, GetAccountResponse};
use prost::Message;

use super::{
    curl::{HttpResponse, curl},
    harness::{ALL, EnvoyHarness},
};

const ORIGIN: &str = "https://app.example";

async fn start() -> Option<EnvoyHarness> {
    EnvoyHarness::start_with(|gateway| gateway.cors_origins = vec![ORIGIN.to_owned()], |_| ()).await
}

/// Calls as gRPC-Web clients do.
fn call(harness: &EnvoyHarness, token: &str) -> HttpResponse {
    let message = GetAccountRequest { account_id: "alice".to_owned(), ..GetAccountRequest::default() }.encode_to_vec();
    let mut frame = vec![0, 0, 0, 0, u8::try_from(message.len()).unwrap()];
    frame.extend(message);
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), frame).unwrap();
    let body = format!("@{}", file.path().to_str().unwrap());
    curl(&[
        "-H",
        token,
        "-H",
        "content-type: application/grpc-web+proto",
        "-H",
        "x-grpc-web: 1",
        "-H",
        &format!("origin: {ORIGIN}"),
        "--data-binary",
        &body,
        &harness.edge.url("/ledger.query.v1.QueryService/GetAccount"),
    ])
}

#[tokio::test]
async fn a_web_page_can_call() {
    let Some(harness) = start().await else { return };
    let answer = call(&harness, &harness.header(&ALL));
    assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN));
    let length = usize::from(answer.bytes[4]);
    let message = GetAccountResponse::decode(&answer.bytes[5..5 + length]).unwrap();
    assert_eq!(message.account.unwrap().account_id, "alice");
    let trailers = String::from_utf8_lossy(&answer.bytes[5 + length + 5..]);
    assert!(answer.bytes[5 + length] == 0x80 && trailers.contains("grpc-status:0"), "{answer:?}");

    let denied = call(&harness, &harness.header(&[]));
    assert_eq!(denied.header("grpc-status"), Some("7"), "{denied:?}");
    assert_eq!(
        denied.header("access-control-allow-origin"),
        Some(ORIGIN),
        "without it the page could not read the error"
    );
}

#[tokio::test]
async fn preflight_requests_are_answered() {
    let Some(harness) = start().await else { return };
    let preflight = |origin: &str, path: &str| {
        let origin = format!("origin: {origin}");
        let method = "access-control-request-method: POST";
        curl(&["-X", "OPTIONS", "-H", &origin, "-H", method, &harness.edge.url(path)])
    };
    for path in ["/ledger.query.v1.QueryService/GetAccount", "/v1/accounts/alice:deposit"] {
        let allowed = preflight(ORIGIN, path);
        assert_eq!((allowed.status, allowed.header("access-control-allow-origin")), (200, Some(ORIGIN)), "{path}");
        let headers = allowed.header("access-control-allow-headers").unwrap();
        assert!(["authorization", "x-grpc-web", "grpc-timeout"].iter().all(|name| headers.contains(name)), "{headers}");
        let denied = preflight("https://evil.example", path);
        assert_eq!(denied.header("access-control-allow-origin"), None, "{path}");
    }
    let json = curl(&[
        "-H",
        &format!("origin: {ORIGIN}"),
        "-H",
        &harness.header(&ALL),
        &harness.edge.url("/v1/accounts/alice"),
    ]);
    assert_eq!(json.header("access-control-allow-origin"), Some(ORIGIN));
}
