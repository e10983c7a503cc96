//! Upgrades and rollbacks under traffic.

use serde_json::json;
use tokio::time::Instant;

use crate::{
    images::{FirstVersion, Images, image_value},
    release::{Release, chart, merge},
    support::{
        edge::Edge,
        traffic::{CallKind, Traffic},
    },
};

/// Installs the first version of the chart, and upgrades to this one. Its Envoys are not drained, so calls may have to
/// be repeated; no answer may be wrong.
pub(crate) async fn from_the_first_version(release: &mut Release, first: &FirstVersion, token: String) -> Edge {
    let values = release.values.clone();
    merge(&mut release.values, &json!({"image": image_value(&first.image)}));
    // A value that its chart did not know.
    release.values["edge"]["bundledEnvoy"].as_object_mut().unwrap().remove("concurrency");
    release.try_upgrade(&first.chart, &json!({})).await.unwrap();
    release.values = values;
    let edge = release.edge(token).await;
    let traffic = Traffic::start(&edge, "first", 2, 1).await;
    let began_at = Instant::now();
    traffic.wait_while_correct("the upgrade from the first version", release.upgrade(&json!({}))).await;
    traffic.wait_while_correct("the end of its pods", release.namespace.until_settled()).await;
    traffic.until_all_succeed(Instant::now()).await;
    let failures = traffic.call_log.failures(began_at);
    println!("upgrade from the first version: {} calls were repeated", failures.len());
    traffic.stop().await;
    edge
}

/// Upgrades to a later version, with migrations and a new generation of a view, and goes back: no call fails.
pub(crate) async fn upgrade_and_roll_back(release: &mut Release, images: &Images, traffic: &Traffic) {
    let Some(next) = &images.next else {
        println!("skipped: no image of a later version");
        return;
    };
    let image = json!({"image": image_value(next), "config": {"log": {"filter": "info"}}});
    let before = release.values.clone();
    traffic.readers_send_tokens(true);
    let (began_at, commands) = (Instant::now(), traffic.call_log.successes_count(CallKind::Command));
    traffic.wait_while_correct("the upgrade", release.upgrade(&image)).await;
    traffic.wait_while_correct("the end of its pods", release.namespace.until_settled()).await;
    assert_no_failures(traffic, began_at, "upgrade").await;

    let rolled_back_at = Instant::now();
    traffic.wait_while_correct("the rollback", release.roll_back()).await;
    traffic.wait_while_correct("the end of its pods", release.namespace.until_settled()).await;
    assert_no_failures(traffic, rolled_back_at, "rollback").await;
    release.values = before;
    traffic.readers_send_tokens(false);
    let commands = traffic.call_log.successes_count(CallKind::Command) - commands;
    println!(
        "upgrade and rollback: {:.0} commands/s, {}",
        commands as f64 / began_at.elapsed().as_secs_f64(),
        traffic.call_log.pauses(began_at)
    );
}

async fn assert_no_failures(traffic: &Traffic, began_at: Instant, what: &str) {
    traffic.until_all_succeed(Instant::now()).await;
    let failures = traffic.call_log.failures(began_at);
    assert!(failures.is_empty(), "{} calls failed in the {what}: {failures:#?}", failures.len());
    println!("{what}: 0 calls failed");
}

/// An image that does not start: the upgrade fails, the version before serves on, and a rollback heals.
pub(crate) async fn a_broken_image_replaces_nothing(release: &mut Release, images: &Images, traffic: &Traffic) {
    let before = release.values.clone();
    let began_at = Instant::now();
    // It does not know the arguments of Diptych.
    let image = json!({"image": image_value(&images.memcached)});
    let chart = chart();
    let upgraded = release.try_upgrade_within("45s", &chart, &image);
    let message = traffic.wait_while_correct("the failed upgrade", upgraded).await.unwrap_err();
    println!("helm with a broken image: {}", message.trim());
    assert_no_failures(traffic, began_at, "upgrade to a broken image").await;
    release.values = before;
    traffic.wait_while_correct("the rollback", release.roll_back()).await;
    traffic.wait_while_correct("the end of its pods", release.namespace.until_settled()).await;
    assert_no_failures(traffic, began_at, "rollback from a broken image").await;
}
