//! Caches are lost: what they had is in the stores behind them.

use futures::future::try_join_all;
use tokio::time::Instant;

use crate::{admin, installation::Installation, traffic::Traffic};

/// Memcached forgets everything; then it and all query services are killed at once.
pub(crate) async fn caches_begin_empty(installation: &Installation, traffic: &Traffic) {
    let began_at = Instant::now();
    admin::flush_cache(installation).await;
    traffic.until_all_are_fine(installation).await;
    println!("memcached forgot everything; {}", traffic.journal.felt(began_at));

    let began_at = Instant::now();
    let parts = ["query-1", "query-2", "memcached"];
    try_join_all(parts.map(|part| installation.stack.kill(part))).await.unwrap();
    try_join_all(parts.map(|part| installation.stack.start_again(part))).await.unwrap();
    traffic.until_all_are_fine(installation).await;
    println!("{} were killed at once; {}", parts.join(", "), traffic.journal.felt(began_at));
}
