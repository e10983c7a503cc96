//! Readers of tables.

use std::time::Duration;

use super::view;
use crate::{
    domain::ViewId,
    ports::{ProgressStore, TableReader},
    testing::{TestEnv, support::SuiteRun},
};

const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_secs(2);

/// Checks the rules about readers.
pub(super) async fn suite<P: TestEnv<Handle: ProgressStore>>(run: &SuiteRun<'_, P>) {
    readers_are_listed_through_every_handle_until_they_are_removed(run).await;
    a_reader_expires_unless_it_is_added_again(run).await;
}

impl<P: TestEnv<Handle: ProgressStore>> SuiteRun<'_, P> {
    async fn add_reader(&self, store: &P::Handle, instance: &str, views: &[ViewId], time_to_live: Duration) {
        self.retry("add_reader", async || store.add_reader(instance, views, time_to_live).await).await;
    }

    async fn remove_reader(&self, store: &P::Handle, instance: &str, views: &[ViewId]) {
        self.retry("remove_reader", async || store.remove_reader(instance, views).await).await;
    }

    /// The readers as `table instance`.
    async fn readers(&self, store: &P::Handle) -> Vec<String> {
        let readers = self.retry("readers", async || store.readers().await).await;
        readers.into_iter().map(|TableReader { table, instance }| format!("{table} {instance}")).collect()
    }
}

async fn readers_are_listed_through_every_handle_until_they_are_removed<P: TestEnv<Handle: ProgressStore>>(
    run: &SuiteRun<'_, P>,
) {
    let (mine, other) = (run.env.handle().await, run.env.handle().await);
    let (one, next) = (view("read"), ViewId { name: "read", generation: 2 });
    assert_eq!(run.readers(&mine).await, [""; 0], "nobody reads");
    run.add_reader(&mine, "query-2", &[one], LONG).await;
    run.add_reader(&mine, "query-1", &[next, one], LONG).await;
    run.add_reader(&mine, "query-1", &[one, next], LONG).await;
    for store in [&mine, &other] {
        assert_eq!(run.readers(store).await, ["read_g1 query-1", "read_g1 query-2", "read_g2 query-1"]);
    }
    run.remove_reader(&other, "query-1", &[one]).await;
    assert_eq!(run.readers(&mine).await, ["read_g1 query-2", "read_g2 query-1"]);
    run.remove_reader(&mine, "query-1", &[one, next]).await;
    run.remove_reader(&mine, "query-3", &[one]).await;
    assert_eq!(run.readers(&other).await, ["read_g1 query-2"], "who is no reader can be removed");
    run.remove_reader(&other, "query-2", &[one]).await;
    assert_eq!(run.readers(&mine).await, [""; 0]);
    // No views are not an error.
    run.add_reader(&mine, "query-1", &[], LONG).await;
    assert_eq!(run.readers(&mine).await, [""; 0]);
}

async fn a_reader_expires_unless_it_is_added_again<P: TestEnv<Handle: ProgressStore>>(run: &SuiteRun<'_, P>) {
    let (mine, other) = (run.env.handle().await, run.env.handle().await);
    let table = view("expiring");
    run.add_reader(&mine, "gone", &[table], SHORT).await;
    run.add_reader(&mine, "renewed", &[table], SHORT).await;
    run.add_reader(&other, "renewed", &[table], LONG).await;
    run.env.advance(SHORT + Duration::from_secs(1)).await;
    assert_eq!(run.readers(&mine).await, ["expiring_g1 renewed"]);
    run.remove_reader(&mine, "renewed", &[table]).await;
}
