//! `import` and `bench` through a gateway: with a token, over several connections, and with retries.
#![cfg(test)]

mod cutting_proxy;
#[path = "../support/gateway.rs"]
mod gateway;
#[path = "../support/process.rs"]
#[allow(dead_code, reason = "shared with the tests of `dev`, which use more of it")]
mod process;

use std::{path::Path, process::Output};

use cutting_proxy::CuttingProxy;
use gateway::Gateway;
use process::{Dev, diptych};
use serde_json::Value;

const TOKEN: &str = "abc.def.ghi";

/// Runs the program to its end beside the gateway; returns its exit status, its report and its standard error.
async fn run(args: &[&str], token: &str) -> (i32, Value, String) {
    let mut command = diptych(args);
    command.args(["--output", "json"]).env("DIPTYCH_TOKEN", token);
    let Output { status, stdout, stderr } =
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let errors = String::from_utf8(stderr).unwrap();
    (status.code().unwrap(), serde_json::from_slice(&stdout).unwrap_or_default(), errors)
}

fn sample() -> String {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/sample-transactions.csv");
    sample.to_str().unwrap().to_owned()
}

async fn gateway(dev: &Dev) -> Gateway {
    Gateway::start(&dev.url(), &dev.url(), Some(TOKEN)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_imported_through_a_gateway_that_requires_a_token() {
    let dev = Dev::start(&[]);
    let gateway = gateway(&dev).await;
    let (status, report, errors) = run(&["import", &sample(), "--to", &gateway.url], "wrong").await;
    assert_eq!((status, &report["accepted"]), (1, &0.into()), "{errors}");
    assert!(report["problems"][0].as_str().unwrap().contains("--token (DIPTYCH_TOKEN)"), "{report:#}");

    let (status, report, errors) = run(&["import", &sample(), "--to", &gateway.url], TOKEN).await;
    assert_eq!(status, 0, "{report:#} {errors}");
    assert_eq!((&report["matches_file"], &report["accepted"]), (&true.into(), &report["rows"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_without_an_upstream_are_retried() {
    let dev = Dev::start(&[]);
    let gateway = gateway(&dev).await;
    // The first two calls check the services.
    gateway.fail_next(5);
    let (status, report, errors) = run(&["import", &sample(), "--to", &gateway.url], TOKEN).await;
    assert_eq!((status, &report["matches_file"]), (0, &true.into()), "{report:#} {errors}");

    // Opening the accounts is retried; only measured calls count as failed.
    gateway.fail_next(5);
    let bench = ["bench", "own-writes", "--to", &gateway.url, "--count", "50", "--accounts", "8", "--warm-up", "0"];
    let (status, report, errors) = run(&bench, TOKEN).await;
    assert_eq!((status, &report["stale_answers"]), (0, &0.into()), "{report:#} {errors}");
}

/// A broken connection shows as INTERNAL, UNKNOWN or UNAVAILABLE, depending on the moment. None of them is an answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_on_broken_connections_are_retried() {
    let dev = Dev::start(&[]);
    let proxy = CuttingProxy::start(&dev.url(), 12).await;
    let (status, report, errors) = run(&["import", &sample(), "--to", &proxy.url], TOKEN).await;
    assert_eq!((status, &report["matches_file"]), (0, &true.into()), "{report:#} {errors}");
    assert!(proxy.cuts() >= 4, "{} connections were broken", proxy.cuts());

    let proxy = CuttingProxy::start(&dev.url(), 8).await;
    let bench = ["bench", "commands", "--mode", "stream", "--to", &proxy.url, "--count", "200", "--accounts", "64"];
    let (status, report, errors) = run(&[&bench[..], &["--warm-up", "0"]].concat(), TOKEN).await;
    assert!(report["series"][0]["succeeded"].as_u64() > Some(0), "{status} {report:#} {errors}");
    assert!(proxy.cuts() >= 4, "{} connections were broken", proxy.cuts());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_measurement_spreads_over_its_connections_and_counts_what_fails() {
    let dev = Dev::start(&[]);
    let gateway = gateway(&dev).await;
    let before = (gateway.connections(), gateway.calls());
    let bench = ["bench", "commands", "--to", &gateway.url, "--count", "200", "--accounts", "8", "--warm-up", "0"];
    let (status, report, errors) = run(&[&bench[..], &["--connections", "4"]].concat(), TOKEN).await;
    assert_eq!((status, &report["series"][0]["succeeded"]), (0, &200.into()), "{report:#} {errors}");
    assert_eq!(gateway.connections() - before.0, 4);
    // A check of the service, a stream for the accounts, and a call for each command.
    assert_eq!(gateway.calls() - before.1, 202);

    let stream = [&bench[..], &["--mode", "stream", "--in-flight", "16"]].concat();
    let (status, report, errors) = run(&stream, TOKEN).await;
    assert_eq!((status, &report["series"][0]["succeeded"]), (0, &200.into()), "{report:#} {errors}");

    let (status, _, errors) = run(&bench, "wrong").await;
    assert_eq!(status, 1);
    assert!(errors.contains("cannot open the accounts") && errors.contains("--token (DIPTYCH_TOKEN)"), "{errors}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_can_have_an_address_of_their_own() {
    let dev = Dev::start(&[]);
    let gateway = gateway(&dev).await;
    let (commands, queries) = (dev.url(), gateway.url.clone());
    let bench = ["bench", "own-writes", "--to", &commands, "--queries", &queries, "--count", "50", "--warm-up", "0"];
    let (status, report, errors) = run(&bench, TOKEN).await;
    assert_eq!((status, &report["stale_answers"]), (0, &0.into()), "{report:#} {errors}");
    // A check of the service, and a query for each command.
    assert_eq!(gateway.calls(), 51);
}
