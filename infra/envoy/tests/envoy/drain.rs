//! Stopping and killing parts of it under traffic: no unary call may fail.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use futures::future::join_all;
use tokio::time::Instant;

use super::{process::eventually, site::Site};

const CALLERS: usize = 8;

/// Calls all the time while `event` happens, and for a while after; every call must be answered.
async fn nobody_notices(site: &Site, event: impl Future<Output = ()>) {
    let (answered, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let callers = join_all((0..CALLERS).map(|number| {
        let (answered, over) = (&answered, &over);
        async move {
            let account_id = format!("account-{number}");
            while !over.load(Ordering::Relaxed) {
                site.deposit(&account_id).await.unwrap();
                site.account(&account_id).await.unwrap();
                answered.fetch_add(1, Ordering::Relaxed);
            }
        }
    }));
    let director = async {
        let more = async |calls: usize| {
            let goal = answered.load(Ordering::Relaxed) + calls;
            eventually("calls", || (answered.load(Ordering::Relaxed) >= goal).then_some(())).await;
        };
        more(50).await;
        event.await;
        more(50).await;
        over.store(true, Ordering::Relaxed);
    };
    tokio::join!(callers, director);
}

#[tokio::test]
async fn an_instance_stops_and_no_call_fails() {
    let Some(mut site) = Site::start().await else { return };
    let mut stopping = site.backends.remove(0);
    nobody_notices(&site, stopping.stop()).await;
    for gateway in &site.gateways {
        gateway.sees("commands", 1).await;
    }
}

#[tokio::test]
async fn a_gateway_stops_and_no_call_fails() {
    let Some(mut site) = Site::start().await else { return };
    let mut stopping = site.gateways.remove(0);
    let edge = &site.edge;
    // As a pod stops: it says so, waits until nobody sends anything more, and ends.
    let stop = async {
        assert_eq!(stopping.admin("POST", "/healthcheck/fail").status, 200);
        edge.sees("gateways", 1).await;
        let idle = || (stopping.stat("http.gateway.downstream_rq_active") == 0).then_some(());
        eventually("the end of its calls", idle).await;
        stopping.kill();
    };
    nobody_notices(&site, stop).await;
}

#[tokio::test]
async fn an_instance_is_killed_and_no_call_fails() {
    let Some(mut site) = Site::start().await else { return };
    let mut killed = site.backends.remove(0);
    nobody_notices(&site, async { killed.kill() }).await;
    for gateway in &site.gateways {
        gateway.sees("commands", 1).await;
        gateway.sees("queries", 1).await;
    }
}

#[tokio::test]
async fn a_gateway_is_killed_and_no_call_fails() {
    let Some(mut site) = Site::start().await else { return };
    let mut killed = site.gateways.remove(0);
    nobody_notices(&site, async { killed.kill() }).await;
    site.edge.sees("gateways", 1).await;
}

/// Its connections stand, so that only their pings tell.
#[tokio::test]
async fn a_gateway_hangs_and_no_call_fails() {
    let Some(mut site) = Site::start().await else { return };
    let hanging = site.gateways.remove(0);
    let began_at = Instant::now();
    nobody_notices(&site, async { hanging.pause() }).await;
    assert!(began_at.elapsed() < Duration::from_secs(20), "{:?}", began_at.elapsed());
}
