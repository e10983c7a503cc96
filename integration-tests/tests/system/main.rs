//! The whole product on real servers, through Envoy, under load and faults.
//!
//! Callers send calls and check every answer while processes are killed, suspended and stopped. Each process is killed
//! once, or as often as `DIPTYCH_FAULT_ROUNDS` says; then a table shows how long callers had no answers.
//!
//! One stack serves the whole test, because starting one takes longer than using it. If the servers are not installed
//! (`cargo stack install`), the test is skipped, except in CI.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic fails the test")]

mod admin;
mod cold_caches;
mod graceful_stop;
mod installation;
mod kills;
mod outage_table;
mod probe;
mod server_outages;
#[path = "../support/mod.rs"]
mod support;
mod takeover;
mod tools;
mod traces;

use diptych_integration_tests::clients::Client;
use installation::StackInstallation;
use support::{
    final_check,
    traffic::{CallKind, Traffic},
};

/// Writers of the traffic: callers keep the product busy, and leave it time to restart.
const WRITERS: u64 = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_product_on_real_servers() {
    let Some(installation) = StackInstallation::start().await else { return };

    // Import a bank's transactions twice, compare balances and statements, then compare every row with its events.
    installation.import("bank").await.assert_equal();
    let again = installation.import("bank").await;
    again.assert_equal();
    assert_eq!(again.report["accepted"], 0, "a second import changes nothing: {:#}", again.report);
    installation.assert_verified().await;

    tools::curl_and_grpcurl(&installation).await;
    traces::one_call_is_one_trace(&installation, &installation.otlp_receiver).await;
    for client in [Client::python(), Client::go()].into_iter().flatten() {
        println!("{}", client.run(installation.address(), Some(installation.token())));
    }

    kills::an_import_continues_after_a_kill(&installation).await;

    let seed = rand::random();
    println!("traffic starts with seed {seed}");
    let traffic = Traffic::start(&installation.edge(), "traffic", WRITERS, seed).await;
    kills::each_process_is_killed(&installation, &traffic).await;

    takeover::projectors_leave_and_return(&installation, &traffic).await;
    takeover::a_leading_relay_is_suspended(&installation, &traffic).await;
    server_outages::each_server_is_down(&installation, &traffic).await;
    graceful_stop::no_call_fails(&installation, &traffic).await;
    cold_caches::caches_are_lost(&installation, &traffic).await;

    let (model, call_log) = traffic.stop().await;
    final_check::assert_all_commands_visible(&installation.edge(), &model, &call_log).await;
    final_check::assert_totals(&installation.edge(), &model, &call_log).await;
    installation.assert_verified().await;
    let counts = CallKind::ALL.map(|kind| call_log.successes_count(kind));
    println!("commands, own writes and queries answered: {counts:?}; all acknowledged commands are visible");
    installation.stop().await;
}
