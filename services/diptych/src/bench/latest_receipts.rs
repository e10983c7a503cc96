//! The latest receipt of each stream, to wait until all commands are visible.

use std::{cell::RefCell, collections::HashMap, time::Duration};

use anyhow::Context;
use diptych_kernel::StreamId;
use diptych_proto::{
    diptych::v1::Receipt,
    ledger::query::v1::{GetAccountRequest, query_service_client::QueryServiceClient},
};
use futures::{StreamExt, TryStreamExt, stream};

use super::{connection_pool::ConnectionPool, workload::receipt_version};
use crate::client::{
    retry::QueryRetry,
    tokens::{at_least_as_fresh, receipt_token},
};

/// Queries in flight that wait for their accounts.
const QUERIES_IN_FLIGHT: usize = 64;
/// Prefix of the stream ids of accounts.
const STREAM_PREFIX: &str = "account-";

/// The latest receipt of each stream.
#[derive(Debug, Default)]
pub(super) struct LatestReceipts {
    by_stream: RefCell<HashMap<String, LatestReceipt>>,
}

#[derive(Clone, Debug)]
struct LatestReceipt {
    version: i64,
    token: String,
}

/// Events in the answers of queries that waited for all receipts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct VisibleEvents {
    /// Events of all accounts, from the versions in the answers. The event that opened an account is one of them.
    pub(super) events_count: u64,
    /// Accounts with a receipt.
    pub(super) accounts_count: u64,
    /// Answers with a version before that of the receipt. G6 forbids them.
    pub(super) stale_count: u64,
}

impl LatestReceipts {
    /// Keeps the receipt if it is the latest of its stream.
    pub(super) fn record(&self, mut receipt: Receipt) {
        let (version, token) = (receipt_version(&receipt), receipt_token(&receipt).to_owned());
        let Some(stream) = receipt.streams.pop() else { return };
        let mut by_stream = self.by_stream.borrow_mut();
        let latest = by_stream.entry(stream.stream_id).or_insert(LatestReceipt { version: 0, token: String::new() });
        if version > latest.version {
            *latest = LatestReceipt { version, token };
        }
    }

    /// The streams with a receipt.
    pub(super) fn stream_ids(&self) -> Vec<StreamId> {
        self.by_stream.borrow().keys().filter_map(|id| StreamId::new(id).ok()).collect()
    }

    /// Queries each account with the token of its latest receipt, and waits for the answers. Then every command is
    /// visible.
    ///
    /// # Errors
    /// When a query fails for good, or until the timeout.
    pub(super) async fn wait_until_visible(
        &self,
        pool: &ConnectionPool,
        timeout: Duration,
    ) -> anyhow::Result<VisibleEvents> {
        let client = QueryServiceClient::new(pool.first()?.queries);
        let latest = self.by_stream.borrow().clone();
        let queries = stream::iter(latest).map(|(stream_id, receipt)| {
            let client = client.clone();
            async move {
                let account_id = stream_id.strip_prefix(STREAM_PREFIX).unwrap_or_default().to_owned();
                let request = GetAccountRequest { account_id, consistency: at_least_as_fresh(&receipt.token) };
                let call = |request| {
                    let mut client = client.clone();
                    async move { client.get_account(request).await }
                };
                let answer = QueryRetry::new(timeout).call(request, call).await;
                let answer = answer.with_context(|| format!("the commands were not visible within {timeout:?}"))?;
                let version = answer.account.map_or(0, |account| account.version);
                anyhow::Ok((version, version < receipt.version))
            }
        });
        queries
            .buffer_unordered(QUERIES_IN_FLIGHT)
            .try_fold(VisibleEvents::default(), async |visible, (version, is_stale)| {
                Ok(VisibleEvents {
                    events_count: visible.events_count + version.unsigned_abs(),
                    accounts_count: visible.accounts_count + 1,
                    stale_count: visible.stale_count + u64::from(is_stale),
                })
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use diptych_proto::diptych::v1::{ConsistencyToken, StreamVersion};

    use super::*;

    #[test]
    fn the_receipt_with_the_highest_version_of_each_stream_is_kept() {
        let receipts = LatestReceipts::default();
        for (stream_id, version) in [("account-a", 2), ("account-b", 1), ("account-a", 3), ("account-a", 1)] {
            receipts.record(Receipt {
                written_at: Some(ConsistencyToken { value: format!("token {version}") }),
                streams: vec![StreamVersion { stream_id: stream_id.to_owned(), version }],
                ..Receipt::default()
            });
        }
        let by_stream = receipts.by_stream.borrow();
        assert_eq!((by_stream["account-a"].version, by_stream["account-a"].token.as_str()), (3, "token 3"));
        assert_eq!((by_stream["account-b"].version, receipts.stream_ids().len()), (1, 2));
    }
}
