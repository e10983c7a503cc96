//! Loss of caches: reads fall back to the stores.

use futures::future::try_join_all;
use tokio::time::Instant;

use crate::{admin, installation::StackInstallation, support::traffic::Traffic};

/// Memcached is flushed; then it and all query services are killed at once.
pub(crate) async fn caches_are_lost(installation: &StackInstallation, traffic: &Traffic) {
    let began_at = Instant::now();
    admin::flush_cache(installation).await;
    admin::until_recovered(installation, traffic).await;
    println!("memcached was flushed; {}", traffic.call_log.pauses(began_at));

    let began_at = Instant::now();
    let processes = ["query-1", "query-2", "memcached"];
    try_join_all(processes.map(|process| installation.stack.kill(process))).await.unwrap();
    try_join_all(processes.map(|process| installation.stack.start_process(process))).await.unwrap();
    admin::until_recovered(installation, traffic).await;
    println!("{} were killed at once; {}", processes.join(", "), traffic.call_log.pauses(began_at));
}
