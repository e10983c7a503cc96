//! Four processes on real servers: what goes in comes out, across restarts of each.

use super::{
    cluster::{Cluster, ROLES},
    process::ended,
    site::{Site, assert_own_writes, files, import},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_processes_are_one_ledger_across_restarts() {
    let Some(site) = Site::new() else { return };
    let (status, _, errors) = ended(site.migrate());
    assert_eq!(status, 0, "{errors}");
    let mut cluster = Cluster::start(&site).await;
    let url = cluster.gateway.url.clone();
    for (number, file) in files().iter().enumerate() {
        import(&url, file, &format!("file{number}-")).await;
    }
    site.assert_verified().await;
    assert_own_writes(&url, "1000").await;

    for (role, signal) in ROLES.into_iter().zip(["TERM", "KILL", "TERM", "KILL"]) {
        cluster.restart(role, signal).await;
        assert_own_writes(&url, "100").await;
    }
    for (role, signal) in ROLES.into_iter().zip(["KILL", "TERM", "KILL", "TERM"]) {
        cluster.restart(role, signal).await;
    }
    // All of it again changes nothing.
    import(&url, &files()[0], "file0-").await;
    site.assert_verified().await;
}
