//! JSON over HTTP/1.1, as `curl` sends it, on the port of gRPC.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::process::Dev;

#[test]
fn dev_answers_json_on_the_port_of_grpc() {
    let dev = Dev::start(&[]);
    let address = dev.address("gRPC").to_owned();
    let open = json!({"request_id": Uuid::new_v4().to_string(), "account_id": "alice", "owner_id": "me", "currency_code": "EUR"});
    let (status, _) = ask(&address, "POST", "/v1/accounts", &open);
    assert_eq!(status, 200);
    let deposit = json!({"request_id": Uuid::new_v4().to_string(), "amount_minor": 1050, "currency_code": "EUR"});
    let (status, deposited) = ask(&address, "POST", "/v1/accounts/alice:deposit", &deposit);
    let token = deposited["receipt"]["writtenAt"]["value"].as_str().unwrap();
    assert_eq!((status, &deposited["receipt"]["outcome"]), (200, &json!("OUTCOME_COMMITTED")));

    let path = format!("/v1/accounts/alice?consistency.at_least_as_fresh.value={token}");
    let (status, answer) = ask(&address, "GET", &path, &Value::Null);
    assert_eq!((status, &answer["account"]["balanceMinor"]), (200, &json!("1050")));

    let withdraw = json!({"request_id": Uuid::new_v4().to_string(), "amount_minor": 5000, "currency_code": "EUR"});
    let (status, refused) = ask(&address, "POST", "/v1/accounts/alice:withdraw", &withdraw);
    assert_eq!((status, &refused["details"][0]["reason"]), (400, &json!("INSUFFICIENT_FUNDS")));
    let (status, _) = ask(&address, "GET", "/favicon.ico", &Value::Null);
    assert_eq!(status, 404);
}

/// One request over a connection of its own; the status and the body of the answer.
fn ask(address: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut connection = TcpStream::connect(address).unwrap();
    write!(
        connection,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    (status, serde_json::from_str(body).unwrap())
}
