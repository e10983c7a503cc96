//! What is printed when all runs: where it is, what is kept, and calls to try.

use std::io::{self, Write};

use diptych_embedded::Place;
use tracing::warn;
use uuid::Uuid;

use super::Ports;
use crate::config::Config;

/// The text. Request ids and the account are new each time, so that the calls work each time.
pub(super) fn text(config: &Config, ports: &Ports) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let (grpc, metrics) = (ports.grpc.address, ports.metrics.address);
    let data = match &config.data.0 {
        Place::Memory => "in memory, gone when this process ends (--data DIR keeps it)".to_owned(),
        Place::Directory(folder) => format!("{} (events.db, log.db, views.db)", folder.display()),
    };
    let partitions = config.partitions.u16();
    format!(
        "Diptych {version}

  gRPC        {grpc}  (reflection and health too)
  Metrics     http://{metrics}/metrics
  Data        {data}
  Partitions  {partitions}

{}
Ctrl-C stops it.
",
        calls(&grpc.to_string(), &account_id())
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
pub(super) fn print(text: &str) {
    let mut out = io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        warn!(%error, "cannot print what runs where on standard output");
    }
}
