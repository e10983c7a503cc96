//! Calls by curl and grpcurl.

use serde_json::{Value, json};
use tokio::process::Command;
use uuid::Uuid;

use crate::installation::StackInstallation;

/// Opens and reads an account by curl with JSON, and deposits by grpcurl, which uses reflection.
pub(crate) async fn curl_and_grpcurl(installation: &StackInstallation) {
    let (address, account) = (installation.address(), format!("tools-{}", Uuid::new_v4().simple()));
    let url = |path: &str| format!("http://{address}/v1/accounts{path}");

    let open = json!({
        "request_id": Uuid::new_v4().to_string(), "account_id": account, "owner_id": "me", "currency_code": "EUR",
    });
    let opened = post_json(&url(""), installation.token(), &open).await;
    assert_eq!(opened["receipt"]["outcome"], "OUTCOME_COMMITTED", "{opened:#}");

    let deposit = json!({
        "request_id": Uuid::new_v4().to_string(), "account_id": account, "amount_minor": 1050, "currency_code": "EUR",
    });
    let method = "ledger.command.v1.CommandService/Deposit";
    let deposited = grpcurl(installation, &deposit, method).await;
    let token =
        deposited["receipt"]["writtenAt"]["value"].as_str().unwrap_or_else(|| panic!("no token: {deposited:#}"));

    let query = format!("/{account}?consistency.at_least_as_fresh.value={token}");
    let read = get_json(&url(&query), installation.token()).await;
    assert_eq!(read["account"]["balanceMinor"], "1050", "{read:#}");

    let withdraw = json!({
        "request_id": Uuid::new_v4().to_string(), "account_id": account, "amount_minor": 5000, "currency_code": "EUR",
    });
    let refused = post_json(&url(&format!("/{account}:withdraw")), installation.token(), &withdraw).await;
    assert_eq!(refused["details"][0]["reason"], "INSUFFICIENT_FUNDS", "{refused:#}");
    let unauthenticated = get_json(&url(&format!("/{account}")), "nonsense").await;
    assert_eq!(unauthenticated["code"], 16, "{unauthenticated:#}");
}

pub(crate) async fn get_json(url: &str, token: &str) -> Value {
    curl(&[url], token).await
}

async fn post_json(url: &str, token: &str, body: &Value) -> Value {
    curl(&[url, "--header", "content-type: application/json", "--data", &body.to_string()], token).await
}

async fn curl(arguments: &[&str], token: &str) -> Value {
    let authorization = format!("authorization: Bearer {token}");
    let mut command = Command::new("curl");
    command.args(["--silent", "--max-time", "20", "--header", &authorization]).args(arguments);
    json_of(&mut command).await
}

async fn grpcurl(installation: &StackInstallation, request: &Value, method: &str) -> Value {
    let authorization = format!("authorization: Bearer {}", installation.token());
    let mut command = Command::new(installation.stack.tools().grpcurl().unwrap());
    command.args(["-plaintext", "-H", &authorization, "-d", &request.to_string(), installation.address(), method]);
    json_of(&mut command).await
}

async fn json_of(command: &mut Command) -> Value {
    let output = command.output().await.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out} {err}"))
}
