//! Who shares work leaves, is lost, or comes back from the dead: another takes over, and a zombie changes nothing.

use tokio::time::Instant;

use crate::{
    admin::{metric, until_metric},
    installation::Installation,
    traffic::Traffic,
};

const OWNED: &str = "diptych_projector_partitions_owned";
const LEADS: &str = "diptych_relay_lease_held";

const STAYS: &str = "projector-1";
const LEAVES: &str = "projector-2";

/// A projector is stopped in order, then killed, then paused, each time until the other one has all of its partitions; then it comes back.
pub(crate) async fn projectors_leave_and_come_back(installation: &Installation, traffic: &Traffic) {
    let stack = &installation.stack;

    let began_at = Instant::now();
    assert!(stack.terminate(LEAVES).await.unwrap(), "{LEAVES} did not stop in order");
    until_taken_over(installation, traffic).await;
    stack.start_again(LEAVES).await.unwrap();
    until_shared(installation, traffic, "was stopped in order and came back", began_at).await;

    let began_at = Instant::now();
    stack.kill(LEAVES).await.unwrap();
    until_taken_over(installation, traffic).await;
    stack.start_again(LEAVES).await.unwrap();
    until_shared(installation, traffic, "was killed, and came back late", began_at).await;

    let began_at = Instant::now();
    stack.pause(LEAVES).await.unwrap();
    until_taken_over(installation, traffic).await;
    stack.resume(LEAVES).unwrap();
    until_shared(installation, traffic, "stood still, and went on as a zombie", began_at).await;
}

async fn until_taken_over(installation: &Installation, traffic: &Traffic) {
    let owns_all = |owned: f64| owned >= f64::from(installation.partitions());
    let taken_over = until_metric(installation, STAYS, OWNED, owns_all);
    traffic.while_all_is_right("one projector has all partitions", taken_over).await;
    traffic.until_all_succeed(Instant::now()).await;
}

async fn until_shared(installation: &Installation, traffic: &Traffic, what: &str, began_at: Instant) {
    let all = f64::from(installation.partitions());
    let shared = until_metric(installation, LEAVES, OWNED, |owned| owned > 0.0 && owned < all);
    traffic.while_all_is_right("both projectors have partitions", shared).await;
    traffic.until_all_are_fine(installation).await;
    println!("{LEAVES} {what}; {}", traffic.journal.felt(began_at));
}

/// The relay that leads is paused until its lease is over and the other one leads, then it goes on.
pub(crate) async fn a_leading_relay_stands_still(installation: &Installation, traffic: &Traffic) {
    let leads = metric(installation, "relay-1", LEADS).await.is_some_and(|held| held > 0.0);
    let (leader, other) = if leads { ("relay-1", "relay-2") } else { ("relay-2", "relay-1") };
    let began_at = Instant::now();
    installation.stack.pause(leader).await.unwrap();
    let taken_over = until_metric(installation, other, LEADS, |held| held > 0.0);
    traffic.while_all_is_right("the other relay leads", taken_over).await;
    traffic.until_all_succeed(Instant::now()).await;
    installation.stack.resume(leader).unwrap();
    let given_up = until_metric(installation, leader, LEADS, |held| held == 0.0);
    traffic.while_all_is_right("the relay that stood still knows that it does not lead", given_up).await;
    traffic.until_all_are_fine(installation).await;
    println!("{leader} led, stood still, and went on as a zombie; {}", traffic.journal.felt(began_at));
}
