//! The annotations of the ledger, answered by a service made up here.

use std::collections::BTreeSet;

use diptych_proto::{
    DESCRIPTOR_SET,
    ledger::{
        command::v1::DepositRequest,
        query::v1::{
            Account, BatchGetAccountsRequest, BatchGetAccountsResponse, GetAccountRequest, GetAccountResponse,
            ListAccountsRequest, ListAccountsResponse,
        },
    },
};
use prost::Message;
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::*;

const SERVICES: [&str; 2] = ["ledger.command.v1.CommandService", "ledger.query.v1.QueryService"];
const BYTES_MAX: usize = 1_000;

fn ok(message: &impl Message) -> Response<Body> {
    let bytes = message.encode_to_vec();
    let mut frame = vec![0, 0, 0, 0, u8::try_from(bytes.len()).unwrap()];
    frame.extend(bytes);
    Response::new(Body::new(Full::from(frame)))
}

/// Responds with the fields of the request.
async fn grpc(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    assert_eq!(request.method(), Method::POST);
    assert_eq!(request.headers()[header::CONTENT_TYPE], "application/grpc");
    let path = request.uri().path().to_owned();
    let frame = request.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(usize::from(frame[4]), frame.len() - 5, "the length of a small message");
    let message = frame.slice(5..);
    Ok(match path.rsplit_once('/').unwrap().1 {
        "Deposit" => {
            let request = DepositRequest::decode(message).unwrap();
            let details = ErrorDetails::with_error_info(
                "INSUFFICIENT_FUNDS",
                "ledger.command.v1",
                [("account_id".to_owned(), request.account_id)],
            );
            let text = format!("{} {}", request.amount_minor, request.currency_code);
            Status::with_error_details(Code::FailedPrecondition, text, details).into_http()
        }
        "GetAccount" => {
            let request = GetAccountRequest::decode(message).unwrap();
            let token = request.consistency.map(|consistency| format!("{consistency:?}")).unwrap_or_default();
            let account = Account { account_id: request.account_id, owner_id: token, ..Account::default() };
            ok(&GetAccountResponse { account: Some(account), read_at: None })
        }
        "BatchGetAccounts" => {
            let request = BatchGetAccountsRequest::decode(message).unwrap();
            ok(&BatchGetAccountsResponse { missing_account_ids: request.account_ids, ..Default::default() })
        }
        "ListAccounts" => {
            let request = ListAccountsRequest::decode(message).unwrap();
            ok(&ListAccountsResponse {
                next_page_token: format!("{} {}", request.owner_id, request.page_size),
                ..Default::default()
            })
        }
        other => Status::unimplemented(other).into_http(),
    })
}

struct Answer {
    status: u16,
    text: String,
    body: Value,
}

async fn ask(method: Method, uri: &str, body: &str, headers: &[(&'static str, &str)]) -> Answer {
    let transcoder = JsonTranscoder::new(DESCRIPTOR_SET, &SERVICES, BYTES_MAX, BYTES_MAX).unwrap();
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::new(Full::from(body.to_owned()))).unwrap();
    let service = serve(service_fn(grpc), Some(Arc::new(transcoder)));
    let Ok(response) = service.oneshot(request).await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
    let status = response.status().as_u16();
    let text = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(text.to_vec()).unwrap();
    let body = serde_json::from_str(&text).unwrap();
    Answer { status, text, body }
}

async fn get(uri: &str) -> Answer {
    ask(Method::GET, uri, "", &[]).await
}

async fn post(uri: &str, body: &str) -> Answer {
    ask(Method::POST, uri, body, &[]).await
}

#[test]
fn every_unary_method_of_the_ledger_has_a_path() {
    let pool = DescriptorPool::decode(DESCRIPTOR_SET).unwrap();
    let routes = Routes::of_services(&pool, &SERVICES).unwrap();
    for service in pool.services().filter(|service| SERVICES.contains(&service.full_name())) {
        for method in service.methods().filter(|method| !method.is_client_streaming()) {
            assert!(routes.iter().any(|route| route.method == method), "{}", method.full_name());
        }
    }
}

#[tokio::test]
async fn fields_come_from_path_query_and_body() {
    let answer = get("/v1/accounts/a%2Fb%20c").await;
    assert_eq!((answer.status, &answer.body["account"]["accountId"]), (200, &json!("a/b c")));
    assert_eq!(answer.body["account"]["balanceMinor"], "0", "zero is printed");
    assert_eq!(answer.body["account"]["status"], "ACCOUNT_STATUS_UNSPECIFIED");
    assert_eq!(answer.body.get("readAt"), None, "an unset message is not");

    let answer = get("/v1/accounts/alice?consistency.at_least_as_fresh.value=AQI").await;
    let seen = answer.body["account"]["ownerId"].as_str().unwrap();
    assert!(seen.contains("AQI"), "{seen}");
    let answer = get("/v1/accounts:batchGet?account_ids=a&accountIds=b").await;
    assert_eq!(answer.body["missingAccountIds"], json!(["a", "b"]));
    let answer = get("/v1/accounts?owner_id=me+too&pageSize=7").await;
    assert_eq!(answer.body["nextPageToken"], "me too 7");
}

#[tokio::test]
async fn the_fields_of_an_answer_keep_the_order_of_the_proto_file() {
    let answer = get("/v1/accounts/alice").await;
    let found = ["accountId", "ownerId", "currencyCode"].map(|name| answer.text.find(name).unwrap());
    assert!(found.is_sorted(), "{}", answer.text);
    let error = post("/v1/accounts/alice:deposit", "{}").await;
    let found = ["\"code\"", "\"message\"", "\"details\"", "\"@type\""].map(|name| error.text.find(name).unwrap());
    assert!(found.is_sorted(), "{}", error.text);
}

#[tokio::test]
async fn an_error_is_a_status_with_its_details() {
    let answer = post("/v1/accounts/alice:deposit", r#"{"amount_minor": "12", "currencyCode": "EUR"}"#).await;
    assert_eq!((answer.status, &answer.body["code"], &answer.body["message"]), (400, &json!(9), &json!("12 EUR")));
    let info = &answer.body["details"][0];
    assert_eq!(info["@type"], "type.googleapis.com/google.rpc.ErrorInfo");
    assert_eq!((&info["reason"], &info["metadata"]["account_id"]), (&json!("INSUFFICIENT_FUNDS"), &json!("alice")));
    let answer = get("/v1/totals/EUR").await;
    assert_eq!((answer.status, &answer.body), (501, &json!({"code": 12, "message": "GetTotals", "details": []})));
}

#[tokio::test]
async fn a_request_that_fits_no_method_is_rejected_with_the_reason() {
    let large = format!(r#"{{"owner_id": "{}"}}"#, "a".repeat(BYTES_MAX));
    let cases = [
        (get("/").await, 404, "no such path or method: GET /; all paths begin with /v1/"),
        (
            get("/v1/accounts/").await,
            404,
            "no such path or method: GET /v1/accounts/; the nearest are GET /v1/accounts",
        ),
        (get("/v1/accounts/alice/").await, 404, "no such path or method"),
        (post("/v1/accounts/alice", "{}").await, 404, "no such path or method: POST /v1/accounts/alice"),
        (
            post("/v1/accounts/alice:desposit", "{}").await,
            404,
            "the nearest are POST /v1/accounts/{account_id}:deposit,",
        ),
        (get("/metrics").await, 404, "metrics are at the metrics address (setting metrics_listen)"),
        (get("/v1/accounts/%ff").await, 400, "account_id: %ff is not UTF-8"),
        (
            get("/v1/accounts/alice?misspelt=1").await,
            400,
            "unknown query parameter misspelt; GetAccountRequest has account_id",
        ),
        (get("/v1/accounts/alice?account_id.x=1").await, 400, "unknown query parameter account_id.x"),
        (get("/v1/accounts?page_size=1&page_size=2").await, 400, "page_size is sent more than once"),
        (get("/v1/accounts?page_size=many").await, 400, r#"page_size: "many" is not an integer (int32)"#),
        (ask(Method::GET, "/v1/accounts/alice", "{}", &[]).await, 400, "takes no body"),
        (post("/v1/accounts?owner_id=me", "{}").await, 400, "takes no query parameters"),
        (post("/v1/accounts", "{\"owner").await, 400, "the body is not valid JSON: EOF"),
        (post("/v1/accounts", "[]").await, 400, "the body must be a JSON object"),
        (post("/v1/accounts", r#"{"owner": "me"}"#).await, 400, "unknown field owner; did you mean owner_id?"),
        (
            post("/v1/accounts", r#"{"proprietor": "me"}"#).await,
            400,
            "unknown field proprietor; OpenAccountRequest has request_id",
        ),
        (post("/v1/accounts", r#"{"owner_id": 7}"#).await, 400, "owner_id: 7 is not a string"),
        (
            post("/v1/accounts/alice:deposit", r#"{"accountId": "bob"}"#).await,
            400,
            "account_id is in the path and in the body",
        ),
        (post("/v1/accounts", &large).await, 413, "larger than 1000 bytes"),
    ];
    let mut reasons = BTreeSet::new();
    for (answer, status, text) in cases {
        let message = answer.body["message"].as_str().unwrap();
        assert!(message.contains(text), "{text}: {message}");
        assert_eq!(answer.status, status, "{message}");
        let info = &answer.body["details"][0];
        assert_eq!(info["@type"], "type.googleapis.com/google.rpc.ErrorInfo", "{message}");
        let found = crate::reasons::explain(info["reason"].as_str().unwrap()).unwrap();
        assert_eq!((found.len(), &info["domain"]), (1, &json!(found[0].domain)), "{message}");
        let code = if status == 404 { "NOT_FOUND" } else { "INVALID_ARGUMENT" };
        assert_eq!(found[0].code, code, "{message}");
        reasons.insert(found[0].reason.clone());
    }
    let expected =
        ["BODY_MALFORMED", "FIELD_DUPLICATED", "FIELD_MALFORMED", "FIELD_TOO_LONG", "FIELD_UNKNOWN", "PATH_UNKNOWN"];
    assert!(reasons.iter().eq(&expected), "{reasons:?}");
}

#[tokio::test]
async fn a_rejected_field_is_named_for_programs_too() {
    let answer = post("/v1/accounts/alice:deposit", r#"{"amount_minor": "ten"}"#).await;
    let message = r#"amount_minor: "ten" is not an integer (int64)"#;
    assert_eq!((answer.status, &answer.body["message"]), (400, &json!(message)));
    let details = &answer.body["details"];
    let expected = (&json!("FIELD_MALFORMED"), &json!("amount_minor"));
    assert_eq!((&details[0]["reason"], &details[0]["metadata"]["field"]), expected);
    let violation = json!({"field": "amount_minor", "description": message, "reason": "FIELD_MALFORMED"});
    assert_eq!(details[1]["fieldViolations"], json!([violation]));
}

/// Otherwise the last one wins, and which amount that is depends on the order that the sender's library writes.
#[tokio::test]
async fn a_field_that_is_given_twice_is_rejected() {
    for (body, text) in [
        (r#"{"amount_minor": 1, "currency_code": "EUR", "amount_minor": 2}"#, "amount_minor is given twice"),
        (r#"{"amount_minor": 1, "amountMinor": 1}"#, "amount_minor is given twice, as "),
        (r#"{"note": {"a": [{"b": 1, "b": 2}]}}"#, "note.a[0].b is given twice"),
    ] {
        let answer = post("/v1/accounts/alice:deposit", body).await;
        let message = answer.body["message"].as_str().unwrap();
        assert!(message.starts_with(text), "{message}");
        assert_eq!((answer.status, &answer.body["details"][0]["reason"]), (400, &json!("FIELD_DUPLICATED")));
    }
    let once = post("/v1/accounts/alice:deposit", r#"{"amount_minor": "1"}"#).await;
    assert_eq!(once.body["code"], 9, "reached the method");
}

/// Otherwise any web page that is open in a browser could send commands to a server on the same machine.
#[tokio::test]
async fn a_form_of_another_origin_is_rejected() {
    let deposit = r#"{"amount_minor": 1}"#;
    let origin = ("origin", "https://example.com");
    for content_type in ["text/plain", "application/x-www-form-urlencoded"] {
        let answer =
            ask(Method::POST, "/v1/accounts/a:deposit", deposit, &[origin, ("content-type", content_type)]).await;
        assert_eq!(answer.status, 415);
    }
    let answer =
        ask(Method::POST, "/v1/accounts/a:deposit", deposit, &[origin, ("content-type", "application/json")]).await;
    assert_eq!(answer.body["code"], 9, "reached the method");
}
