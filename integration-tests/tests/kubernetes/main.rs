//! The chart on a real cluster: both modes installed, called, upgraded, rolled back, disturbed and restored.
//!
//! `cargo stack test --cluster` starts a cluster and servers, builds the images, and runs this. Elsewhere it runs on
//! the cluster that KUBECONFIG names, with `helm` and `kubectl` on the PATH, if the machine reaches Services by their
//! addresses, and these variables are set; else it is skipped:
//!
//! - DIPTYCH_TEST_CLUSTER_IMAGES: a JSON file with the names of images, as `integration-tests/kubernetes/images`
//!   writes it.
//! - DIPTYCH_TEST_CLUSTER_VOLUMES: a folder of the node for local volumes; without it the default storage class is
//!   used.
//! - DIPTYCH_TEST_PODS_POSTGRES, _KAFKA, _CASSANDRA: servers, as pods reach them, and DIPTYCH_TEST_POSTGRES_URL,
//!   _KAFKA, _CQL, as this machine does. Without them, only `mode: embedded` is tested.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic fails the test")]

mod cluster;
mod distributed;
mod disturbances;
mod embedded;
mod images;
mod isolation;
mod namespace;
mod operators;
mod release;
#[path = "../support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "shared with the test of the system, which uses more of it")]
mod support;
mod upgrades;

use cluster::Cluster;
use distributed::Servers;
use images::Images;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_chart_on_a_cluster() {
    let (Some(cluster), Some(images)) = (Cluster::find().await, Images::find()) else { return };
    operators::custom_resources_are_accepted(&cluster).await;
    embedded::install_use_and_restore(&cluster, &images).await;
    match Servers::find() {
        Some(servers) => distributed::install_use_and_disturb(&cluster, &images, servers).await,
        None => println!("skipped: DIPTYCH_TEST_PODS_POSTGRES is not set, so mode distributed has no servers"),
    }
}
