//! A query service is registered as a reader of its tables.

use std::{sync::Arc, time::Duration};

use diptych_kernel::ports::{ProgressStore, TableReader};
use diptych_query::{QueryConfig, register_reader};
use diptych_runtime::{Shutdown, pause};
use tokio::{sync::watch, time::timeout};

use crate::harness::{QueryHarness, SEATS, TOTALS};

impl QueryHarness {
    async fn registered(&self) -> Vec<String> {
        let readers = self.store.readers().await.unwrap();
        readers.into_iter().map(|TableReader { table, instance }| format!("{table} {instance}")).collect()
    }

    async fn register(&self, is_registered: watch::Sender<bool>, shutdown: Shutdown) {
        let views = vec![SEATS, TOTALS];
        register_reader(Arc::clone(&self.store), "query-1".to_owned(), views, is_registered, shutdown).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_is_registered_while_it_runs_and_not_after_it_has_stopped() {
    let harness = QueryHarness::set_up(QueryConfig::default()).await;
    let shutdown = Shutdown::new();
    let (is_registered, mut registered) = watch::channel(false);
    let scenario = async {
        registered.wait_for(|is_registered| *is_registered).await.unwrap();
        for _ in 0..60 {
            assert_eq!(harness.registered().await, ["seats_g1 query-1", "totals_g1 query-1"]);
            pause(Duration::from_secs(2)).await;
        }
        shutdown.begin();
    };
    tokio::join!(harness.register(is_registered, shutdown.clone()), scenario);
    assert_eq!(harness.registered().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_registration_of_a_process_that_was_killed_expires() {
    let harness = QueryHarness::set_up(QueryConfig::default()).await;
    let killed = timeout(Duration::from_secs(1), harness.register(watch::Sender::default(), Shutdown::new())).await;
    assert!(killed.is_err() && !harness.registered().await.is_empty());
    pause(Duration::from_secs(20)).await;
    assert_eq!(harness.registered().await, [""; 0]);
}
