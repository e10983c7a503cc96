//! Calls from web pages: gRPC-Web, and CORS.

use std::fs;

use diptych_proto::ledger::query::v1::{GetAccountRequest, GetAccountResponse};
use prost::Message;

use super::{
    curl::{Answer, curl},
    site::{ALL, Site},
};

const ORIGIN: &str = "https://app.example";

async fn site() -> Option<Site> {
    Site::start_with(|gateway| gateway.cors_origins = vec![ORIGIN.to_owned()], |_| ()).await
}

/// A call as grpc-web clients send it.
fn call(site: &Site, token: &str) -> Answer {
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
        &site.edge.url("/ledger.query.v1.QueryService/GetAccount"),
    ])
}

#[tokio::test]
async fn a_web_page_calls() {
    let Some(site) = site().await else { return };
    let answer = call(&site, &site.header(&ALL));
    assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN));
    let length = usize::from(answer.bytes[4]);
    let message = GetAccountResponse::decode(&answer.bytes[5..5 + length]).unwrap();
    assert_eq!(message.account.unwrap().account_id, "alice");
    let trailers = String::from_utf8_lossy(&answer.bytes[5 + length + 5..]);
    assert!(answer.bytes[5 + length] == 0x80 && trailers.contains("grpc-status:0"), "{answer:?}");

    let denied = call(&site, &site.header(&[]));
    assert_eq!(denied.header("grpc-status"), Some("7"), "{denied:?}");
    assert_eq!(denied.header("access-control-allow-origin"), Some(ORIGIN), "else the page could not read why");
}

#[tokio::test]
async fn browsers_ask_first() {
    let Some(site) = site().await else { return };
    let ask = |origin: &str, path: &str| {
        let origin = format!("origin: {origin}");
        let method = "access-control-request-method: POST";
        curl(&["-X", "OPTIONS", "-H", &origin, "-H", method, &site.edge.url(path)])
    };
    for path in ["/ledger.query.v1.QueryService/GetAccount", "/v1/accounts/alice:deposit"] {
        let yes = ask(ORIGIN, path);
        assert_eq!((yes.status, yes.header("access-control-allow-origin")), (200, Some(ORIGIN)), "{path}");
        let allowed = yes.header("access-control-allow-headers").unwrap();
        assert!(["authorization", "x-grpc-web", "grpc-timeout"].iter().all(|name| allowed.contains(name)), "{allowed}");
        let no = ask("https://evil.example", path);
        assert_eq!(no.header("access-control-allow-origin"), None, "{path}");
    }
    let json =
        curl(&["-H", &format!("origin: {ORIGIN}"), "-H", &site.header(&ALL), &site.edge.url("/v1/accounts/alice")]);
    assert_eq!(json.header("access-control-allow-origin"), Some(ORIGIN));
}
