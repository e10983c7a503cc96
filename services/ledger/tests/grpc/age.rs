//! Queries that say how old their answer may be.

use std::{pin::pin, time::Duration};

use diptych_proto::{
    diptych::v1::{Consistency, ReadAt},
    ledger::query::v1::{
        BatchGetAccountsRequest, GetAccountRequest, GetTotalsRequest, ListAccountsRequest, ListEntriesRequest,
        query_service_client::QueryServiceClient,
    },
};
use diptych_query::QueryConfig;
use futures::future::{Either, select};
use tonic::{Code, Status, transport::Channel};

use crate::harness::{GrpcHarness, bad_field, error_parts, open};

fn not_older_than(age: Duration) -> Option<Consistency> {
    let age = prost_types::Duration::try_from(age).unwrap();
    Some(Consistency { not_older_than: Some(age), ..Consistency::default() })
}

/// Calls every method with this age.
async fn call_all(queries: &QueryServiceClient<Channel>, age: Duration) -> [Result<Option<ReadAt>, Status>; 5] {
    let (id, consistency) = ("a".to_owned(), not_older_than(age));
    let queries = || queries.clone();
    let (mut of_account, mut of_batch, mut of_entries) = (queries(), queries(), queries());
    let (mut of_accounts, mut of_totals) = (queries(), queries());
    let account = of_account.get_account(GetAccountRequest { account_id: id.clone(), consistency });
    let batch = BatchGetAccountsRequest { account_ids: vec![id.clone()], consistency: not_older_than(age) };
    let batch = of_batch.batch_get_accounts(batch);
    let entries = ListEntriesRequest { account_id: id, consistency: not_older_than(age), ..Default::default() };
    let entries = of_entries.list_entries(entries);
    let accounts = ListAccountsRequest {
        owner_id: "olga".to_owned(),
        consistency: not_older_than(age),
        ..ListAccountsRequest::default()
    };
    let accounts = of_accounts.list_accounts(accounts);
    let totals = GetTotalsRequest { currency_code: "CZK".to_owned(), consistency: not_older_than(age) };
    let totals = of_totals.get_totals(totals);
    let (account, batch, entries, accounts, totals) = tokio::join!(account, batch, entries, accounts, totals);
    [
        account.map(|answer| answer.into_inner().read_at),
        batch.map(|answer| answer.into_inner().read_at),
        entries.map(|answer| answer.into_inner().read_at),
        accounts.map(|answer| answer.into_inner().read_at),
        totals.map(|answer| answer.into_inner().read_at),
    ]
}

#[tokio::test]
async fn views_that_are_too_old_are_refused() {
    let call_timeout_default = Duration::from_millis(50);
    let mut harness = GrpcHarness::start_with(QueryConfig { call_timeout_default, ..QueryConfig::default() }).await;
    harness.commands.open_account(open("a")).await.unwrap();
    harness.project().await;
    for result in call_all(&harness.queries, Duration::from_nanos(1)).await {
        let seen = error_parts(&result.unwrap_err());
        assert_eq!((seen.code, seen.reason.as_str(), seen.retry), (Code::Unavailable, "VIEW_TOO_OLD", true));
        assert!(seen.metadata["required_time"] > seen.metadata["reached_time"], "{:?}", seen.metadata);
        assert!(seen.metadata.contains_key("partition"));
    }
}

/// Nothing is written: only the time moves on.
#[tokio::test]
async fn a_query_waits_for_views_that_are_young_enough_and_says_how_old_they_are() {
    let call_timeout_default = Duration::from_secs(30);
    let mut harness = GrpcHarness::start_with(QueryConfig { call_timeout_default, ..QueryConfig::default() }).await;
    harness.commands.open_account(open("a")).await.unwrap();
    harness.project().await;
    let request = GetAccountRequest { account_id: "a".to_owned(), consistency: None };
    let read_before =
        harness.queries.get_account(request).await.unwrap().into_inner().read_at.unwrap().complete_up_to_time.unwrap();

    let queries = harness.queries.clone();
    let project = async {
        // Each call has its own time, and all of them are waited for.
        loop {
            harness.project().await;
            tokio::task::yield_now().await;
        }
    };
    let calls = call_all(&queries, Duration::from_nanos(1));
    let Either::Left((results, _)) = select(pin!(calls), pin!(project)).await;
    for result in results {
        let read_at = result.unwrap().unwrap().complete_up_to_time.unwrap();
        assert!((read_at.seconds, read_at.nanos) > (read_before.seconds, read_before.nanos));
    }
}

#[tokio::test]
async fn an_age_of_zero_is_refused() {
    let mut harness = GrpcHarness::with_accounts(&["a"]).await;
    let request = GetAccountRequest { account_id: "a".to_owned(), consistency: not_older_than(Duration::ZERO) };
    let refused = harness.queries.get_account(request).await.unwrap_err();
    assert_eq!(error_parts(&refused), bad_field("FIELD_OUT_OF_RANGE", "consistency.not_older_than"));
}
