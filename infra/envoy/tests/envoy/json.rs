//! Calls with JSON over HTTP.

use super::{
    curl::curl,
    harness::{ALL, EnvoyHarness},
};

#[tokio::test]
async fn commands_and_queries_can_be_sent_as_json() {
    let Some(harness) = EnvoyHarness::start().await else { return };
    let token = harness.header(&ALL);
    let url = |path: &str| harness.edge.url(path);
    let deposit =
        r#"{"requestId": "7b0e4a52-6a3b-4d0c-9d0b-6f6f2a1f5b01", "amountMinor": "1050", "currencyCode": "EUR"}"#;
    let answer = curl(&["-H", &token, "-d", deposit, &url("/v1/accounts/alice:deposit")]);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["receipt"]["requestId"], "7b0e4a52-6a3b-4d0c-9d0b-6f6f2a1f5b01");
    assert_eq!(answer.json()["repeated"], false, "default values are included");

    let answer = curl(&["-H", &token, &url("/v1/accounts/alice")]);
    assert_eq!(answer.json()["account"]["accountId"], "alice");
    assert_eq!(answer.json()["account"]["balanceMinor"], "0");
    let answer = curl(&["-H", &token, &url("/v1/accounts:batchGet?account_ids=a&account_ids=b")]);
    assert_eq!(answer.json()["missingAccountIds"], serde_json::json!(["a", "b"]));
}

#[tokio::test]
async fn json_errors_have_code_reason_and_details() {
    let Some(harness) = EnvoyHarness::start().await else { return };
    let token = harness.header(&ALL);
    let url = |path: &str| harness.edge.url(path);
    let refused = curl(&["-H", &token, "-d", "{}", &url("/v1/accounts/poor:withdraw")]);
    let error = refused.json();
    assert_eq!((refused.status, &error["code"]), (400, &9.into()));
    assert_eq!(error["message"], "account poor holds too little");
    assert_eq!(error["details"][0]["@type"], "type.googleapis.com/google.rpc.ErrorInfo");
    assert_eq!(error["details"][0]["reason"], "INSUFFICIENT_FUNDS");
    assert_eq!(error["details"][0]["metadata"]["account_id"], "poor");

    let unavailable = curl(&["-H", &token, &url("/v1/accounts/retryable")]);
    assert_eq!((unavailable.status, &unavailable.json()["code"]), (503, &14.into()));
    assert_eq!(unavailable.json()["details"][1]["retryDelay"], "1s", "{unavailable:?}");
}

/// Errors that Envoy itself returns are `google.rpc.Status` too.
#[tokio::test]
async fn errors_of_the_gateway_have_the_form_of_the_services_errors() {
    let Some(harness) = EnvoyHarness::start().await else { return };
    let (all, none) = (harness.header(&ALL), harness.header(&[]));
    let cases: [(&[&str], &str, u16, i32); 10] = [
        (&[], "/v1/accounts/alice", 401, 16),
        (&["-H", &none], "/v1/accounts/alice", 403, 7),
        (&["-H", &none, "-d", "{}"], "/v1/accounts", 403, 7),
        (&["-H", &all], "/v2/nothing", 404, 5),
        (&["-H", &all], "/", 404, 5),
        (&["-H", &all, "-X", "DELETE"], "/v1/accounts/alice", 404, 5),
        (&["-H", &all], "/v1/accounts/alice?misspelt=1", 400, 3),
        (&["-H", &all, "-d", "{\"owner"], "/v1/accounts", 400, 3),
        (&["-H", &all, "-d", "{\"account_id\": \"bob\"}"], "/v1/accounts/alice:deposit", 400, 3),
        (&["-H", &all], "/ledger.query.v1.QueryService/GetAccount", 404, 5),
    ];
    for (args, path, status, code) in cases {
        let answer = curl(&[args, &[&harness.edge.url(path)]].concat());
        let error = answer.json();
        assert_eq!((answer.status, &error["code"]), (status, &code.into()), "{path} {answer:?}");
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{path} {answer:?}");
    }
    let file = large_file();
    let large_body = format!("@{}", file.path().to_str().unwrap());
    let answer = curl(&["-H", &all, "--data-binary", &large_body, &harness.edge.url("/v1/accounts")]);
    assert_eq!((answer.status, &answer.json()["code"]), (413, &3.into()));
    assert_eq!(answer.json()["details"][0]["reason"], "FIELD_TOO_LONG");
}

#[tokio::test]
async fn invalid_paths_and_headers_are_refused() {
    let Some(harness) = EnvoyHarness::start().await else { return };
    let token = harness.header(&ALL);
    for path in [
        "/%2e%2e/%2e%2e/etc/passwd",
        "/v1/accounts/a%2Fb",
        "/v1/accounts/a%5Cb",
        "//",
        "/v1/accounts/%00",
        "/config_dump",
        "/stats",
    ] {
        let answer = curl(&["-H", &token, &harness.edge.url(path)]);
        assert!(matches!(answer.status, 400 | 404), "{path}: {answer:?}");
    }
    // Paths are normalised.
    let answer = curl(&["-H", &token, &harness.edge.url("/v1//x/../accounts/alice")]);
    assert_eq!(answer.json()["account"]["accountId"], "alice");
    let answer = curl(&["-H", &token, "-H", "some_header: 1", &harness.edge.url("/v1/accounts/alice")]);
    assert_eq!(answer.status, 400, "underscores and dashes must not be confused");
    let long = format!("x-long: {}", "a".repeat(13 * 1024));
    let answer = curl(&["-H", &token, "-H", &long, &harness.edge.url("/v1/accounts/alice")]);
    assert_eq!(answer.status, 431);
}

/// A command of more than 1 MiB.
fn large_file() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{{\"owner_id\": \"{}\"}}", "a".repeat(1_200_000))).unwrap();
    file
}
