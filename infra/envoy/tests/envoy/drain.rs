//! Processes are stopped and killed under load: no unary call may fail.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures::future::join_all;
use tokio::time::Instant;

use super::{
    harness::EnvoyHarness,
    process::{WAIT_MAX, eventually},
};

const CALLERS: usize = 8;

/// Sends calls before, during and after an event; every call must succeed.
async fn assert_no_call_fails(harness: &EnvoyHarness, event: impl Future<Output = ()>) {
    let (answered, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let callers = join_all((0..CALLERS).map(|number| {
        let (answered, is_over) = (&answered, &is_over);
        async move {
            let account_id = format!("account-{number}");
            while !is_over.load(Ordering::Relaxed) {
                harness.deposit(&account_id).await.unwrap();
                harness.account(&account_id).await.unwrap();
                answered.fetch_add(1, Ordering::Relaxed);
            }
        }
    }));
    let scenario = async {
        let more = async |calls: usize| {
            let goal = answered.load(Ordering::Relaxed) + calls;
            eventually("calls", || (answered.load(Ordering::Relaxed) >= goal).then_some(())).await;
        };
        more(50).await;
        event.await;
        more(50).await;
        is_over.store(true, Ordering::Relaxed);
    };
    tokio::join!(callers, scenario);
}

#[tokio::test]
async fn an_instance_stops_and_no_call_fails() {
    let Some(mut harness) = EnvoyHarness::start().await else { return };
    let mut stopping = harness.backends.remove(0);
    assert_no_call_fails(&harness, stopping.stop()).await;
    for gateway in &harness.gateways {
        gateway.until_healthy("commands", 1).await;
    }
}

#[tokio::test]
async fn a_gateway_stops_and_no_call_fails() {
    let Some(mut harness) = EnvoyHarness::start().await else { return };
    let mut stopping = harness.gateways.remove(0);
    let edge = &harness.edge;
    // As a pod stops: it fails its health check, waits until no calls are in flight, and ends.
    let stop = async {
        assert_eq!(stopping.admin("POST", "/healthcheck/fail").status, 200);
        edge.until_healthy("gateways", 1).await;
        let idle = || (stopping.stat("http.gateway.downstream_rq_active") == 0).then_some(());
        eventually("the end of its calls", idle).await;
        stopping.kill();
    };
    assert_no_call_fails(&harness, stop).await;
}

#[tokio::test]
async fn an_instance_is_killed_and_no_call_fails() {
    let Some(mut harness) = EnvoyHarness::start().await else { return };
    let mut killed = harness.backends.remove(0);
    assert_no_call_fails(&harness, async { killed.kill() }).await;
    for gateway in &harness.gateways {
        gateway.until_healthy("commands", 1).await;
        gateway.until_healthy("queries", 1).await;
    }
}

#[tokio::test]
async fn a_gateway_is_killed_and_no_call_fails() {
    let Some(mut harness) = EnvoyHarness::start().await else { return };
    let mut killed = harness.gateways.remove(0);
    assert_no_call_fails(&harness, async { killed.kill() }).await;
    harness.edge.until_healthy("gateways", 1).await;
}

/// The connections stay open, so only HTTP/2 pings detect this.
#[tokio::test]
async fn a_gateway_hangs_and_no_call_fails() {
    let Some(mut harness) = EnvoyHarness::start().await else { return };
    let hanging = harness.gateways.remove(0);
    let began_at = Instant::now();
    assert_no_call_fails(&harness, async { hanging.pause() }).await;
    assert!(began_at.elapsed() < WAIT_MAX, "{:?}", began_at.elapsed());
}
