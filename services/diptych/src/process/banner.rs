//! The banner of a process that has all parts: addresses, where data is kept, and calls to copy.

use std::{
    io::{self, Write},
    net::SocketAddr,
};

use tracing::warn;
use uuid::Uuid;

/// Calls to copy into a shell: the third and the last read what the second wrote, by its token.
const CALLS: &str = include_str!("../../../../examples/first-calls.txt");

/// Returns the banner. The facts are one line each.
pub(super) fn text(grpc: SocketAddr, metrics: SocketAddr, facts: &[(&str, String)]) -> String {
    let addresses = [
        ("gRPC", format!("{grpc}  (with reflection and health; JSON over HTTP too)")),
        ("Metrics", format!("http://{metrics}/metrics")),
    ];
    let facts: String = addresses.iter().chain(facts).map(|(name, fact)| format!("  {name:<10}  {fact}\n")).collect();
    let calls = calls(&grpc.to_string());
    format!(
        "Diptych {}\n\n{facts}\nTry it, in another terminal:\n\n{calls}\nCtrl-C stops it.\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// The calls with this address. Request ids and the account are new each time, so that the calls always work.
fn calls(address: &str) -> String {
    let mut number = Uuid::new_v4().simple().to_string();
    number.truncate(6);
    [
        ("{{address}}", address),
        ("{{header}}", ""),
        ("{{id}}", &format!("demo-{number}")),
        ("{{uuid 1}}", &Uuid::new_v4().to_string()),
        ("{{uuid 2}}", &Uuid::new_v4().to_string()),
    ]
    .iter()
    .fold(CALLS.to_owned(), |text, (name, value)| text.replace(name, value))
}

/// Prints the banner on standard output. A closed standard output does not stop the process.
pub(super) fn print(text: &str) {
    let mut out = io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        warn!(%error, "cannot print the banner on standard output");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calls_are_complete_and_write_no_file() {
        let text = text(([127, 0, 0, 1], 7_400).into(), ([127, 0, 0, 1], 7_401).into(), &[]);
        assert_eq!(text.matches("http://127.0.0.1:7400/v1/accounts").count(), 3, "{text}");
        assert_eq!(text.matches(" 127.0.0.1:7400 ledger.").count(), 1, "{text}");
        // `tee /dev/stderr` truncates a log that standard error is redirected to.
        assert!(!text.contains("{{") && !text.contains("/dev/") && !text.contains("tee "), "{text}");
    }
}
