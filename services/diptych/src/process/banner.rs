//! What is printed when all runs in one process: where it is, what is kept, and calls to try.

use std::io::{self, Write};

use tracing::warn;
use uuid::Uuid;

use super::Process;

/// The text, with lines of its own between the addresses and the number of partitions. Request ids and the account are new each time, so
/// that the calls work each time.
pub(crate) fn text(process: &Process, own: &[(&str, String)]) -> String {
    let Process { grpc_address, metrics_address, config, .. } = process;
    let mut facts = vec![
        ("gRPC", format!("{grpc_address}  (with reflection and health; JSON over HTTP too)")),
        ("Metrics", format!("http://{metrics_address}/metrics")),
    ];
    facts.extend_from_slice(own);
    facts.push(("Partitions", config.partitions.u16().to_string()));
    let facts: String = facts.iter().map(|(name, fact)| format!("  {name:<10}  {fact}\n")).collect();
    format!(
        "Diptych {}\n\n{facts}\n{}\nCtrl-C stops it.\n",
        env!("CARGO_PKG_VERSION"),
        calls(&grpc_address.to_string(), &account_id())
    )
}

/// Three calls, as they can be pasted into a shell: the third reads what the second wrote, by its token.
fn calls(address: &str, account: &str) -> String {
    let (open, deposit) = (Uuid::new_v4(), Uuid::new_v4());
    format!(
        r#"Try it, in another terminal:

  grpcurl -plaintext -d '{{"request_id": "{open}", "account_id": "{account}",
    "owner_id": "me", "currency_code": "EUR"}}' {address} ledger.command.v1.CommandService/OpenAccount

  TOKEN=$(grpcurl -plaintext -d '{{"request_id": "{deposit}", "account_id": "{account}",
    "amount_minor": 1050, "currency_code": "EUR"}}' {address} ledger.command.v1.CommandService/Deposit |
    tee /dev/stderr | sed -n '/writtenAt/,/}}/s/.*"value": "\(.*\)".*/\1/p')

  grpcurl -plaintext -d '{{"account_id": "{account}", "consistency": {{"at_least_as_fresh": {{"value": "'$TOKEN'"}}}}}}' \
    {address} ledger.query.v1.QueryService/GetAccount
"#
    )
}

fn account_id() -> String {
    let mut number = Uuid::new_v4().simple().to_string();
    number.truncate(6);
    format!("demo-{number}")
}

/// Prints it on standard output. Nobody there to read it is no reason to stop.
pub(crate) fn print(text: &str) {
    let mut out = io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        warn!(%error, "cannot print what runs where on standard output");
    }
}
