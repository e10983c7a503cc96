//! A process that shares work stops, crashes, or is suspended and resumed: another one takes over, and the resumed
//! process changes nothing that it no longer owns.

use tokio::time::Instant;

use crate::{
    admin::{self, metric, until_metric},
    installation::StackInstallation,
    support::traffic::Traffic,
};

const PARTITIONS_OWNED: &str = "diptych_projector_partitions_owned";
const LEASE_HELD: &str = "diptych_relay_lease_held";

const STAYING_PROJECTOR: &str = "projector-1";
const LEAVING_PROJECTOR: &str = "projector-2";

/// A projector is stopped gracefully, then killed, then suspended, each time until the other one has all of its
/// partitions; then it returns.
pub(crate) async fn projectors_leave_and_return(installation: &StackInstallation, traffic: &Traffic) {
    let stack = &installation.stack;

    let began_at = Instant::now();
    assert!(stack.terminate(LEAVING_PROJECTOR).await.unwrap(), "{LEAVING_PROJECTOR} did not stop gracefully");
    until_taken_over(installation, traffic).await;
    stack.start_process(LEAVING_PROJECTOR).await.unwrap();
    until_shared(installation, traffic, "was stopped gracefully and started again", began_at).await;

    let began_at = Instant::now();
    stack.kill(LEAVING_PROJECTOR).await.unwrap();
    until_taken_over(installation, traffic).await;
    stack.start_process(LEAVING_PROJECTOR).await.unwrap();
    until_shared(installation, traffic, "was killed and started again late", began_at).await;

    let began_at = Instant::now();
    stack.pause(LEAVING_PROJECTOR).await.unwrap();
    until_taken_over(installation, traffic).await;
    stack.resume(LEAVING_PROJECTOR).unwrap();
    until_shared(installation, traffic, "was suspended and resumed", began_at).await;
}

async fn until_taken_over(installation: &StackInstallation, traffic: &Traffic) {
    let owns_all = |owned: f64| owned >= f64::from(installation.partitions());
    let taken_over = until_metric(installation, STAYING_PROJECTOR, PARTITIONS_OWNED, owns_all);
    traffic.wait_while_correct("one projector has all partitions", taken_over).await;
    traffic.until_all_succeed(Instant::now()).await;
}

async fn until_shared(installation: &StackInstallation, traffic: &Traffic, what: &str, began_at: Instant) {
    let all = f64::from(installation.partitions());
    let shared = until_metric(installation, LEAVING_PROJECTOR, PARTITIONS_OWNED, |owned| owned > 0.0 && owned < all);
    traffic.wait_while_correct("both projectors have partitions", shared).await;
    admin::until_recovered(installation, traffic).await;
    println!("{LEAVING_PROJECTOR} {what}; {}", traffic.call_log.pauses(began_at));
}

/// The leading relay is suspended until its lease has expired and the other one leads; then it is resumed.
pub(crate) async fn a_leading_relay_is_suspended(installation: &StackInstallation, traffic: &Traffic) {
    let leads = metric(installation, "relay-1", LEASE_HELD).await.is_some_and(|held| held > 0.0);
    let (leader, other) = if leads { ("relay-1", "relay-2") } else { ("relay-2", "relay-1") };
    let began_at = Instant::now();
    installation.stack.pause(leader).await.unwrap();
    let taken_over = until_metric(installation, other, LEASE_HELD, |held| held > 0.0);
    traffic.wait_while_correct("the other relay leads", taken_over).await;
    traffic.until_all_succeed(Instant::now()).await;
    installation.stack.resume(leader).unwrap();
    let stepped_down = until_metric(installation, leader, LEASE_HELD, |held| held == 0.0);
    traffic.wait_while_correct("the resumed relay no longer leads", stepped_down).await;
    admin::until_recovered(installation, traffic).await;
    println!("{leader} led, was suspended and resumed; {}", traffic.call_log.pauses(began_at));
}
