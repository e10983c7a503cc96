use std::{collections::HashMap, time::Duration};

use diptych_proto::ledger::{
    command::v1::{TransferRequest, WithdrawRequest},
    query::{
        v1::{
            AccountStatus, BatchGetAccountsRequest, GetAccountRequest, GetAccountResponse, GetTotalsRequest,
            ListAccountsRequest, ListEntriesRequest, Totals,
        },
        v1_encoded::{self, query_service_server::QueryService},
    },
};
use diptych_query::QueryConfig;
use tokio::time::timeout;
use tonic::{Code, Request};

use crate::harness::{
    ErrorParts, GrpcHarness, bad_field, bad_fields, error_parts, fresh_as, fresh_as_text, new_id, open, refused,
};

fn get(id: &str) -> GetAccountRequest {
    GetAccountRequest { account_id: id.to_owned(), consistency: None }
}

fn not_found(id: &str) -> ErrorParts {
    ErrorParts {
        resource: Some(("account".to_owned(), id.to_owned())),
        ..refused(Code::NotFound, "ledger.query.v1", "ACCOUNT_NOT_FOUND", &[("account_id", id)])
    }
}

#[tokio::test]
async fn get_account_returns_the_current_state() {
    let mut client = GrpcHarness::with_accounts(&["a"]).await;
    let receipt = client.deposit("a", 70).await;
    client.project().await;
    let answer = client.queries.get_account(get("a")).await.unwrap().into_inner();
    let account = answer.account.unwrap();
    assert_eq!((account.account_id.as_str(), account.owner_id.as_str()), ("a", "olga"));
    assert_eq!((account.balance_minor, account.overdraft_limit_minor), (70, 1_000));
    assert_eq!((account.version, account.entry_count), (2, 1));
    assert_eq!(account.status(), AccountStatus::Open);
    assert_eq!(account.update_time, receipt.commit_time);
    let read_at = answer.read_at.unwrap();
    assert!(read_at.complete_up_to_time.is_some());

    let again = GetAccountRequest { consistency: fresh_as_text(&read_at.token.unwrap().value), ..get("a") };
    assert_eq!(client.queries.get_account(again).await.unwrap().into_inner().account, Some(account));
}

#[tokio::test]
async fn an_unknown_account_is_not_found() {
    let mut client = GrpcHarness::with_accounts(&["a"]).await;
    client.project().await;
    assert_eq!(error_parts(&client.queries.get_account(get("b")).await.unwrap_err()), not_found("b"));
    let entries = ListEntriesRequest { account_id: "b".to_owned(), ..ListEntriesRequest::default() };
    assert_eq!(error_parts(&client.queries.list_entries(entries).await.unwrap_err()), not_found("b"));
}

#[tokio::test]
async fn a_query_with_a_token_waits_for_its_command() {
    let mut client = GrpcHarness::with_accounts(&["a"]).await;
    client.project().await;
    let receipt = client.deposit("a", 70).await;
    let mut queries = client.queries.clone();
    let fresh = GetAccountRequest { consistency: fresh_as(&receipt), ..get("a") };
    let asked = queries.get_account(fresh);
    let (answer, ()) = tokio::join!(asked, client.project());
    let GetAccountResponse { account, .. } = answer.unwrap().into_inner();
    assert_eq!(account.unwrap().balance_minor, 70);
}

/// Without a deadline of the client, which could end the calls itself before the answer arrives.
#[tokio::test]
async fn a_response_older_than_the_token_is_never_returned() {
    let mut client = GrpcHarness::with_accounts(&["a"]).await;
    client.project().await;
    let consistency = fresh_as(&client.deposit("a", 70).await);
    let queries = || client.queries.clone();
    let account = async {
        let request = GetAccountRequest { consistency: consistency.clone(), ..get("a") };
        queries().get_account(request).await.unwrap_err()
    };
    let batch = async {
        let request = BatchGetAccountsRequest { account_ids: vec!["a".to_owned()], consistency: consistency.clone() };
        queries().batch_get_accounts(request).await.unwrap_err()
    };
    let entries = async {
        let consistency = consistency.clone();
        let request = ListEntriesRequest { account_id: "a".to_owned(), consistency, ..ListEntriesRequest::default() };
        queries().list_entries(request).await.unwrap_err()
    };
    let accounts = async {
        let consistency = consistency.clone();
        let request =
            ListAccountsRequest { owner_id: "olga".to_owned(), consistency, ..ListAccountsRequest::default() };
        queries().list_accounts(request).await.unwrap_err()
    };
    let totals = async {
        let request = GetTotalsRequest { currency_code: "CZK".to_owned(), consistency: consistency.clone() };
        queries().get_totals(request).await.unwrap_err()
    };
    let (account, batch, entries, accounts, totals) = tokio::join!(account, batch, entries, accounts, totals);
    for error in [account, batch, entries, accounts, totals] {
        let seen = error_parts(&error);
        assert_eq!(
            (seen.code, seen.reason.as_str(), seen.retry),
            (Code::Unavailable, "VIEW_BEHIND", true),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_query_waits_for_its_token_no_longer_than_the_client_does() {
    let call_timeout_default = Duration::from_secs(600);
    let query_config =
        QueryConfig { call_timeout_default, call_timeout_max: call_timeout_default, ..QueryConfig::default() };
    let mut client = GrpcHarness::start_with(query_config).await;
    client.commands.open_account(open("a")).await.unwrap();
    client.project().await;
    let consistency = fresh_as(&client.deposit("a", 70).await);
    let mut request = Request::new(v1_encoded::GetAccountRequest { account_id: "a".to_owned(), consistency });
    request.set_timeout(Duration::from_secs(2));
    let answer = timeout(call_timeout_default / 10, client.query_service.get_account(request)).await;
    let error = answer.expect("the client's timeout ends the call").unwrap_err();
    assert_eq!(error_parts(&error).reason, "VIEW_BEHIND", "{error:?}");
}

#[tokio::test]
async fn a_batch_returns_existing_and_missing_accounts() {
    let mut client = GrpcHarness::with_accounts(&["a", "b", "c"]).await;
    client.project().await;
    let account_ids = ["c", "x", "a", "c", "y", "x"].map(str::to_owned).to_vec();
    let request = BatchGetAccountsRequest { account_ids, consistency: None };
    let answer = client.queries.batch_get_accounts(request).await.unwrap().into_inner();
    assert_eq!(answer.accounts.iter().map(|account| account.account_id.as_str()).collect::<Vec<_>>(), ["c", "a"]);
    assert_eq!(answer.missing_account_ids, ["x", "y"]);
    assert!(answer.read_at.is_some());
}

#[tokio::test]
async fn totals_are_summed_over_all_partitions() {
    let ids: Vec<String> = (0..20).map(|number| format!("a{number}")).collect();
    let mut client = GrpcHarness::with_accounts(&ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for id in &ids {
        client.deposit(id, 100).await;
    }
    for pair in ids.windows(2) {
        let transfer = TransferRequest {
            request_id: new_id(),
            from_account_id: pair[0].clone(),
            to_account_id: pair[1].clone(),
            amount_minor: 3,
            currency_code: "CZK".to_owned(),
            ..TransferRequest::default()
        };
        client.commands.transfer(transfer).await.unwrap();
    }
    let withdraw = WithdrawRequest {
        request_id: new_id(),
        account_id: "a0".to_owned(),
        amount_minor: 7,
        currency_code: "CZK".to_owned(),
        ..WithdrawRequest::default()
    };
    client.commands.withdraw(withdraw).await.unwrap();
    client.project().await;

    let asked = |code: &str| GetTotalsRequest { currency_code: code.to_owned(), consistency: None };
    let answer = client.queries.get_totals(asked("CZK")).await.unwrap().into_inner();
    let expected = Totals {
        currency_code: "CZK".to_owned(),
        balance_minor: "1993".to_owned(),
        deposits_minor: "2000".to_owned(),
        withdrawals_minor: "7".to_owned(),
        transfers_minor: "57".to_owned(),
        accounts_opened_count: 20,
        accounts_closed_count: 0,
        entry_count: 20 + 2 * 19 + 1,
    };
    assert_eq!(answer.totals, Some(expected));
    assert!(answer.read_at.unwrap().complete_up_to_time.is_some());

    let none = client.queries.get_totals(asked("EUR")).await.unwrap().into_inner().totals.unwrap();
    assert_eq!((none.currency_code.as_str(), none.balance_minor.as_str(), none.entry_count), ("EUR", "0", 0));
}

#[tokio::test]
async fn all_invalid_fields_of_a_query_are_named_at_once() {
    let mut client = GrpcHarness::with_accounts(&["a", "b"]).await;
    client.deposit("a", 1).await;
    client.deposit("a", 1).await;
    client.project().await;
    let queries = &mut client.queries;
    let token_field = "consistency.at_least_as_fresh.value";
    let garbage = || fresh_as_text("garbage");

    let error = queries.get_account(GetAccountRequest { consistency: garbage(), ..get("") }).await.unwrap_err();
    assert_eq!(error_parts(&error), bad_fields("FIELD_MISSING", &["account_id", token_field]));

    let account_ids = ["", "a", "a b"].map(str::to_owned).to_vec();
    let request = BatchGetAccountsRequest { account_ids, consistency: garbage() };
    let error = queries.batch_get_accounts(request).await.unwrap_err();
    assert_eq!(error_parts(&error), bad_fields("FIELD_MISSING", &["account_ids[0]", "account_ids[2]", token_field]));

    let request = ListEntriesRequest {
        account_id: String::new(),
        page_size: -1,
        page_token: "garbage".to_owned(),
        consistency: garbage(),
    };
    let error = queries.list_entries(request).await.unwrap_err();
    assert_eq!(
        error_parts(&error),
        bad_fields("FIELD_MISSING", &["account_id", "page_size", "page_token", token_field])
    );

    // With an invalid account id, the list that a page token belongs to is not checked.
    let first = ListEntriesRequest { account_id: "a".to_owned(), page_size: 1, ..ListEntriesRequest::default() };
    let page_token = queries.list_entries(first).await.unwrap().into_inner().next_page_token;
    let request = ListEntriesRequest { account_id: "a b".to_owned(), page_token, ..ListEntriesRequest::default() };
    let error = queries.list_entries(request).await.unwrap_err();
    assert_eq!(error_parts(&error), bad_field("FIELD_MALFORMED", "account_id"));

    let request = ListAccountsRequest {
        owner_id: "o o".to_owned(),
        page_size: -1,
        page_token: "garbage".to_owned(),
        consistency: garbage(),
    };
    let error = queries.list_accounts(request).await.unwrap_err();
    assert_eq!(
        error_parts(&error),
        bad_fields("FIELD_MALFORMED", &["owner_id", "page_size", "page_token", token_field])
    );

    let request = GetTotalsRequest { currency_code: "czk".to_owned(), consistency: garbage() };
    let error = queries.get_totals(request).await.unwrap_err();
    assert_eq!(error_parts(&error), bad_fields("FIELD_MALFORMED", &["currency_code", token_field]));
}

/// One invalid value of every field of every query; the complete tables are in `src/grpc/validate/tests`.
#[tokio::test]
async fn invalid_queries_are_refused() {
    let mut client = GrpcHarness::start().await;
    let queries = &mut client.queries;
    let mut errors = HashMap::new();
    let token_field = "consistency.at_least_as_fresh.value";
    let garbage = || fresh_as_text("garbage");

    errors.insert("get", (queries.get_account(get("")).await.unwrap_err(), "FIELD_MISSING", "account_id"));
    let request = GetAccountRequest { consistency: garbage(), ..get("a") };
    errors.insert("get token", (queries.get_account(request).await.unwrap_err(), "TOKEN_INVALID", token_field));

    let request = BatchGetAccountsRequest::default();
    errors.insert("batch", (queries.batch_get_accounts(request).await.unwrap_err(), "FIELD_MISSING", "account_ids"));
    let request = BatchGetAccountsRequest { account_ids: vec!["a".to_owned()], consistency: garbage() };
    errors
        .insert("batch token", (queries.batch_get_accounts(request).await.unwrap_err(), "TOKEN_INVALID", token_field));

    let entries = || ListEntriesRequest { account_id: "a".to_owned(), ..ListEntriesRequest::default() };
    let request = ListEntriesRequest { account_id: "a b".to_owned(), ..entries() };
    errors.insert("entries", (queries.list_entries(request).await.unwrap_err(), "FIELD_MALFORMED", "account_id"));
    let request = ListEntriesRequest { page_size: -1, ..entries() };
    errors
        .insert("entries size", (queries.list_entries(request).await.unwrap_err(), "FIELD_OUT_OF_RANGE", "page_size"));
    let request = ListEntriesRequest { page_token: "garbage".to_owned(), ..entries() };
    errors
        .insert("entries page", (queries.list_entries(request).await.unwrap_err(), "PAGE_TOKEN_INVALID", "page_token"));
    let request = ListEntriesRequest { consistency: garbage(), ..entries() };
    errors.insert("entries token", (queries.list_entries(request).await.unwrap_err(), "TOKEN_INVALID", token_field));

    let accounts = || ListAccountsRequest { owner_id: "olga".to_owned(), ..ListAccountsRequest::default() };
    let request = ListAccountsRequest { owner_id: "x".repeat(65), ..accounts() };
    errors.insert("accounts", (queries.list_accounts(request).await.unwrap_err(), "FIELD_TOO_LONG", "owner_id"));
    let request = ListAccountsRequest { page_size: i32::MIN, ..accounts() };
    errors.insert(
        "accounts size",
        (queries.list_accounts(request).await.unwrap_err(), "FIELD_OUT_OF_RANGE", "page_size"),
    );
    let request = ListAccountsRequest { page_token: "garbage".to_owned(), ..accounts() };
    errors.insert(
        "accounts page",
        (queries.list_accounts(request).await.unwrap_err(), "PAGE_TOKEN_INVALID", "page_token"),
    );
    let request = ListAccountsRequest { consistency: garbage(), ..accounts() };
    errors.insert("accounts token", (queries.list_accounts(request).await.unwrap_err(), "TOKEN_INVALID", token_field));

    let request = GetTotalsRequest { currency_code: "czk".to_owned(), consistency: None };
    errors.insert("totals", (queries.get_totals(request).await.unwrap_err(), "FIELD_MALFORMED", "currency_code"));
    let request = GetTotalsRequest { currency_code: "CZK".to_owned(), consistency: garbage() };
    errors.insert("totals token", (queries.get_totals(request).await.unwrap_err(), "TOKEN_INVALID", token_field));

    for (name, (error, reason, field)) in errors {
        assert_eq!(error_parts(&error), bad_field(reason, field), "{name}");
    }
}
