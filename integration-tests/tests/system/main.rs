//! The whole product on real servers, through Envoy: what its users do, and what goes wrong around them.
//!
//! Callers work all the time while parts are killed, paused and stopped, and check every answer. Each part is killed once; the environment's
//! `DIPTYCH_FAULT_ROUNDS` sets how often. The table at the end of that says how long callers felt it.
//!
//! One stack serves all of it, as starting one takes longer than using it. Without the servers installed (`cargo stack install`) it is
//! skipped, but not in CI.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is the report of a test")]

mod admin;
mod cold;
mod down;
mod drain;
mod faults;
mod installation;
mod members;
mod model;
mod outages;
mod probe;
mod tools;
mod traces;
mod traffic;
mod validate;

use diptych_integration_tests::clients::Client;
use installation::Installation;
use traffic::{Kind, Traffic};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_product_on_real_servers() {
    let Some(installation) = Installation::start().await else { return };

    // A bank's transactions in, its balances and statements out, twice; then every row against its events.
    installation.import("bank").await.assert_equal();
    let again = installation.import("bank").await;
    again.assert_equal();
    assert_eq!(again.report["accepted"], 0, "a second import changes nothing: {:#}", again.report);
    installation.assert_verified().await;

    tools::curl_and_grpcurl(&installation).await;
    traces::one_call_is_one_trace(&installation, &installation.collector).await;
    for client in [Client::python(), Client::go()].into_iter().flatten() {
        println!("{}", client.run(installation.address(), Some(installation.token())));
    }

    faults::an_import_goes_on_after_a_kill(&installation).await;

    let seed = rand::random();
    println!("traffic begins, from the seed {seed}");
    let traffic = Traffic::start(&installation, seed).await;
    faults::each_part_is_killed(&installation, &traffic).await;

    members::projectors_leave_and_come_back(&installation, &traffic).await;
    members::a_leading_relay_stands_still(&installation, &traffic).await;
    down::each_server_stays_away(&installation, &traffic).await;
    drain::nobody_feels_a_stop_in_order(&installation, &traffic).await;
    cold::caches_begin_empty(&installation, &traffic).await;

    let (book, journal) = traffic.stop().await;
    validate::all_is_as_told(&installation, &book, &journal).await;
    let counts = Kind::ALL.map(|kind| journal.successes_count(kind));
    println!("commands, own writes and queries answered: {counts:?}; all is as callers were told");
    installation.stop().await;
}
