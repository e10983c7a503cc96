//! `import` and `bench` with an address that does not serve what they call.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    thread,
};

use super::{
    process::run,
    service::Service,
    without_servers::{start, unreachable_servers},
};

/// Alert of a TLS server that received no handshake: fatal, unexpected message.
const TLS_ALERT: [u8; 7] = [0x15, 3, 3, 0, 2, 2, 10];

const GIVE_BOTH: &str = "Give the address of a gateway, of `diptych dev` or of `diptych all` with --to URL; or that of \
    the command service with --to URL and that of the query service with --queries URL";

fn sample() -> String {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/sample-transactions.csv");
    sample.to_str().unwrap().to_owned()
}

/// Asserts that `import`, and each measurement of `bench` that needs commands and queries, fails with this error.
fn assert_refused(addresses: &[&str], expected: &str) {
    let import = ["import", &sample()];
    for subcommand in [&import[..], &["bench", "lag"], &["bench", "own-writes"], &["bench", "queries"]] {
        assert_fails(subcommand, addresses, expected);
    }
}

/// As [`assert_refused`], also for the measurement that needs only commands.
fn assert_refused_by_all(addresses: &[&str], expected: &str) {
    assert_refused(addresses, expected);
    assert_fails(&["bench", "commands"], addresses, expected);
}

fn assert_fails(subcommand: &[&str], addresses: &[&str], expected: &str) {
    let (status, out, errors) = run(&[subcommand, addresses].concat());
    assert_eq!((status, out.as_str(), errors.as_str()), (1, "", format!("error: {expected}\n").as_str()));
}

/// Starts a server that answers whatever is sent to it with these bytes, and closes the connection.
fn start_server(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            // The client may have closed the connection.
            let _ = connection.read(&mut [0; 1_024]);
            let _ = connection.write_all(answer);
        }
    });
    address
}

#[test]
fn a_command_service_without_queries_is_refused() {
    let service = start("command");
    let url = service.url();
    let expected = format!(
        "{url} (--to) serves commands but no queries; both are needed\n\
         {GIVE_BOTH}"
    );
    assert_refused(&["--to", &url], &expected);
    let expected = format!(
        "{url} (--queries) serves commands but no queries\nGive the address of the query service, or of a gateway, with \
         --queries URL"
    );
    assert_refused(&["--to", &url, "--queries", &url], &expected);
}

#[test]
fn a_query_service_without_commands_is_refused() {
    let service = start("query");
    let url = service.url();
    let expected = format!(
        "{url} (--to) serves queries but no commands\n\
         {GIVE_BOTH}"
    );
    assert_refused_by_all(&["--to", &url], &expected);
}

#[test]
fn a_command_service_and_a_query_service_together_are_accepted() {
    let (commands, queries) = (start("command"), start("query"));
    let to = ["--to", &commands.url(), "--queries", &queries.url()];
    let (status, _, errors) = run(&[&["import", &sample(), "--timeout", "5"], &to[..]].concat());
    assert_eq!(status, 1, "their servers are unreachable");
    assert!(errors.contains("WRITE_UNAVAILABLE") && !errors.contains("--queries"), "{errors}");
}

#[test]
fn a_service_without_commands_and_queries_is_refused() {
    let service = start("relay");
    let url = service.url();
    let expected = format!(
        "{url} (--to) serves gRPC, but neither commands nor queries: is this a relay, a projector or another program?\n\
         {GIVE_BOTH}"
    );
    assert_refused_by_all(&["--to", &url], &expected);
}

#[test]
fn a_metrics_address_is_refused() {
    let settings = unreachable_servers();
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let service = Service::start("dev", &settings);
    let listening = service.log.iter().find(|line| line["message"] == "listening").unwrap();
    let url = format!("http://{}", listening["metrics"].as_str().unwrap());
    let expected = format!(
        "{url} (--to) speaks HTTP, but not gRPC: is this the metrics address?\n\
         Give the gRPC address with --to URL; that of `diptych dev` is http://127.0.0.1:7400"
    );
    assert_refused_by_all(&["--to", &url], &expected);
    let expected = expected.replace("--to", "--queries");
    assert_refused_by_all(&["--to", &service.url(), "--queries", &url], &expected);
}

#[test]
fn an_address_where_nothing_listens_is_refused() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{free}");
    let error = TcpStream::connect(free).unwrap_err();
    let expected = format!(
        "cannot connect to {url} (--to): {error}\n\
         Start the server (`diptych dev`), or give the gRPC address with --to URL; that of `diptych dev` is \
         http://127.0.0.1:7400"
    );
    assert_refused_by_all(&["--to", &url], &expected);
}

#[test]
fn a_port_with_tls_is_refused() {
    let url = format!("http://{}", start_server(&TLS_ALERT));
    let expected = format!(
        "{url} (--to) expects TLS, which `diptych` does not support\n\
         Give the gRPC address with --to URL; that of `diptych dev` is http://127.0.0.1:7400"
    );
    assert_refused_by_all(&["--to", &url], &expected);
}

#[test]
fn a_server_of_another_protocol_is_refused() {
    let remedy = "\nGive the gRPC address with --to URL; that of `diptych dev` is http://127.0.0.1:7400";
    let url = format!("http://{}", start_server(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    let http = "speaks HTTP, but not gRPC: is this the metrics address?";
    assert_refused_by_all(&["--to", &url], &format!("{url} (--to) {http}{remedy}"));
    let url = format!("http://{}", start_server(b""));
    let closes = "accepts connections and closes them without an answer: it is not a gRPC server, or expects TLS; or it \
                  has reached its connection limit (grpc.connections_max), or is a proxy without a reachable backend: \
                  try again";
    assert_refused_by_all(&["--to", &url], &format!("{url} (--to) {closes}{remedy}"));
    let url = format!("http://{}", start_server(b"-ERR unknown command 'PRI'\r\n"));
    let answers = "answers \"-ERR unknown command 'PRI'\": it is not a gRPC server";
    assert_refused_by_all(&["--to", &url], &format!("{url} (--to) {answers}{remedy}"));
}

#[test]
fn an_invalid_address_of_an_import_is_an_invalid_flag() {
    let (status, out, errors) = run(&["import", "no-such-file.csv", "--to", "ftp://localhost:1"]);
    assert_eq!((status, out.as_str()), (2, ""), "{errors}");
    assert!(errors.starts_with("error: --to ftp://localhost:1: ftp is not supported"), "{errors}");
}
