//! Outage of each server: what does not need it goes on, with the age of its data; other calls fail with a retry delay.

use tokio::time::Instant;

use crate::{
    admin,
    installation::StackInstallation,
    probe::{Probe, assert_unavailable, complete_up_to_nanos},
    support::traffic::{CallKind, Traffic},
};

pub(crate) async fn each_server_is_down(installation: &StackInstallation, traffic: &Traffic) {
    without_memcached(installation, traffic).await;
    without_cassandra(installation, traffic).await;
    without_kafka(installation, traffic).await;
    without_postgres(installation, traffic).await;
}

/// All calls succeed.
async fn without_memcached(installation: &StackInstallation, traffic: &Traffic) {
    let began_at = Instant::now();
    installation.stack.kill("memcached").await.unwrap();
    traffic.until_all_succeed(Instant::now()).await;
    restart(installation, traffic, "memcached", began_at).await;
}

/// Commands succeed; cached rows are returned, with their age; other rows are unavailable.
async fn without_cassandra(installation: &StackInstallation, traffic: &Traffic) {
    let probe = Probe::new(installation);
    let [(cached, cached_token), (cold, cold_token)] = [probe.open().await, probe.open().await];
    for (account_id, token) in [(&cached, &cached_token), (&cold, &cold_token)] {
        traffic.wait_while_correct("the account is visible", until_visible(&probe, account_id, token)).await;
    }
    // From here on the cache contains only what is read.
    admin::flush_cache(installation).await;
    let before = complete_up_to_nanos(&probe.get_any(&cached).await.unwrap());
    let (answered, all) = count_answered(&probe, traffic).await;
    assert_eq!(answered, all, "every account can be read");

    let began_at = Instant::now();
    installation.stack.kill("cassandra").await.unwrap();
    assert_unavailable(&["READ_UNAVAILABLE"], async || probe.get_any(&cold).await).await;
    let token = probe.deposit(&cached).await.unwrap();
    let reasons = ["READ_UNAVAILABLE", "VIEW_BEHIND"];
    assert_unavailable(&reasons, async || probe.get_as_fresh_as(&cached, &token).await).await;
    let old = probe.get_any(&cached).await.unwrap();
    assert_eq!(old.account.as_ref().unwrap().version, 1, "{old:?}");
    assert!(complete_up_to_nanos(&old) >= before, "{old:?}");
    assert_read_time_stops(&probe, traffic, CallKind::Command, &cached).await;
    // An account that is written to all the time may be missing in the cache at the moment.
    println!(
        "without cassandra {:?} of accounts that are written to are answered",
        count_answered(&probe, traffic).await
    );
    restart(installation, traffic, "cassandra", began_at).await;
    assert_eq!(probe.get_as_fresh_as(&cached, &token).await.unwrap().account.unwrap().version, 2);
}

/// Commands succeed; their effects are not visible, and no answer claims otherwise.
async fn without_kafka(installation: &StackInstallation, traffic: &Traffic) {
    let probe = Probe::new(installation);
    let (account_id, token) = probe.open().await;
    traffic.wait_while_correct("the account is visible", until_visible(&probe, &account_id, &token)).await;

    let began_at = Instant::now();
    installation.stack.kill("kafka").await.unwrap();
    let token = probe.deposit(&account_id).await.unwrap();
    assert_unavailable(&["VIEW_BEHIND"], async || probe.get_as_fresh_as(&account_id, &token).await).await;
    assert_eq!(probe.get_any(&account_id).await.unwrap().account.unwrap().version, 1);
    traffic.until_kinds_succeed(&[CallKind::Command, CallKind::Query], Instant::now()).await;
    assert_read_time_stops(&probe, traffic, CallKind::Command, &account_id).await;
    restart(installation, traffic, "kafka", began_at).await;
    assert_eq!(probe.get_as_fresh_as(&account_id, &token).await.unwrap().account.unwrap().version, 2);
}

/// Queries succeed; commands are refused, and a refused command is not stored.
async fn without_postgres(installation: &StackInstallation, traffic: &Traffic) {
    let probe = Probe::new(installation);
    let (account_id, token) = probe.open().await;
    traffic.wait_while_correct("the account is visible", until_visible(&probe, &account_id, &token)).await;

    let began_at = Instant::now();
    installation.stack.kill("postgres").await.unwrap();
    let reasons = ["WRITE_UNAVAILABLE", "OUTCOME_UNKNOWN"];
    assert_unavailable(&reasons, async || probe.deposit(&account_id).await).await;
    assert_eq!(probe.get_as_fresh_as(&account_id, &token).await.unwrap().account.unwrap().version, 1);
    assert_read_time_stops(&probe, traffic, CallKind::Query, &account_id).await;
    restart(installation, traffic, "postgres", began_at).await;
}

async fn until_visible(probe: &Probe, account_id: &str, token: &str) {
    while probe.get_as_fresh_as(account_id, token).await.is_err() {}
}

/// Counts the accounts of the traffic that can be read, and all of them.
async fn count_answered(probe: &Probe, traffic: &Traffic) -> (usize, usize) {
    let (mut answered, mut all) = (0, 0);
    for account_id in traffic.model.account_ids() {
        answered += usize::from(probe.get_any(account_id).await.is_ok());
        all += 1;
    }
    (answered, all)
}

/// Asserts that reads succeed while calls of another kind do, and that the time up to which they are complete stops.
async fn assert_read_time_stops(probe: &Probe, traffic: &Traffic, meanwhile: CallKind, account_id: &str) {
    let mut before = None;
    let stopped = async {
        loop {
            let now = complete_up_to_nanos(&probe.get_any(account_id).await.unwrap());
            // Records in flight may still arrive.
            if before.replace(now) == Some(now) {
                return;
            }
            traffic.call_log.until_all_succeed(&[meanwhile], 20, Instant::now()).await;
        }
    };
    traffic.wait_while_correct("the read time stops", stopped).await;
}

async fn restart(installation: &StackInstallation, traffic: &Traffic, server: &str, began_at: Instant) {
    let down = began_at.elapsed().as_secs_f32();
    traffic.wait_while_correct("the server starts", installation.stack.start_process(server)).await.unwrap();
    let started = began_at.elapsed().as_secs_f32();
    admin::until_recovered(installation, traffic).await;
    let recovered = began_at.elapsed().as_secs_f32();
    let pauses = traffic.call_log.pauses(began_at);
    println!(
        "{server} was down for {down:.1} s, ready after {started:.1} s, everything recovered after {recovered:.1} s; \
         {pauses}"
    );
}
