//! Four processes on real servers: data is complete across restarts of each.

use super::{
    installation::{TestInstallation, assert_own_writes, files, import},
    process::ended,
    service_processes::{ROLES, ServiceProcesses},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_processes_stay_consistent_across_restarts() {
    let Some(installation) = TestInstallation::new() else { return };
    let (status, _, errors) = ended(installation.migrate());
    assert_eq!(status, 0, "{errors}");
    let mut services = ServiceProcesses::start(&installation).await;
    let url = services.gateway.url.clone();
    for (number, file) in files().iter().enumerate() {
        import(&url, file, &format!("file{number}-")).await;
    }
    installation.assert_verified().await;
    assert_own_writes(&url, "1000").await;

    for (role, signal) in ROLES.into_iter().zip(["TERM", "KILL", "TERM", "KILL"]) {
        services.restart(role, signal).await;
        assert_own_writes(&url, "100").await;
    }
    for (role, signal) in ROLES.into_iter().zip(["KILL", "TERM", "KILL", "TERM"]) {
        services.restart(role, signal).await;
    }
    // A repeated import changes nothing.
    import(&url, &files()[0], "file0-").await;
    installation.assert_verified().await;
}
