use diptych_proto::{
    diptych::v1::Outcome,
    ledger::command::v1::{
        CloseAccountRequest, DepositRequest, FreezeAccountRequest, GetReceiptRequest, TransferRequest,
        UnfreezeAccountRequest, WithdrawRequest,
    },
};
use tonic::{Code, Request};

use crate::harness::{ErrorParts, GrpcHarness, bad_field, bad_fields, deposit, error_parts, new_id, open, refused};

const DOMAIN: &str = "ledger.command.v1";

fn transfer(from: &str, to: &str, amount_minor: i64) -> TransferRequest {
    TransferRequest {
        request_id: new_id(),
        from_account_id: from.to_owned(),
        to_account_id: to.to_owned(),
        amount_minor,
        currency_code: "CZK".to_owned(),
        ..TransferRequest::default()
    }
}

fn withdraw(id: &str, amount_minor: i64) -> WithdrawRequest {
    WithdrawRequest {
        request_id: new_id(),
        account_id: id.to_owned(),
        amount_minor,
        currency_code: "CZK".to_owned(),
        ..WithdrawRequest::default()
    }
}

fn freeze(id: &str) -> FreezeAccountRequest {
    FreezeAccountRequest { request_id: new_id(), account_id: id.to_owned(), ..FreezeAccountRequest::default() }
}

fn unfreeze(id: &str) -> UnfreezeAccountRequest {
    UnfreezeAccountRequest { request_id: new_id(), account_id: id.to_owned(), ..UnfreezeAccountRequest::default() }
}

fn close(id: &str) -> CloseAccountRequest {
    CloseAccountRequest { request_id: new_id(), account_id: id.to_owned(), ..CloseAccountRequest::default() }
}

#[tokio::test]
async fn every_command_is_stored_and_gets_its_receipt() {
    let mut client = GrpcHarness::start().await;
    let commands = &mut client.commands;
    let receipts = [
        commands.open_account(open("a")).await.unwrap().into_inner().receipt,
        commands.open_account(open("b")).await.unwrap().into_inner().receipt,
        commands.deposit(deposit("a", 100)).await.unwrap().into_inner().receipt,
        commands.withdraw(withdraw("a", 30)).await.unwrap().into_inner().receipt,
        commands.transfer(transfer("a", "b", 70)).await.unwrap().into_inner().receipt,
        commands.freeze_account(freeze("a")).await.unwrap().into_inner().receipt,
        commands.unfreeze_account(unfreeze("a")).await.unwrap().into_inner().receipt,
        commands.close_account(close("a")).await.unwrap().into_inner().receipt,
    ];
    let streams: Vec<Vec<(String, i64)>> = receipts
        .iter()
        .map(|receipt| receipt.as_ref().unwrap())
        .inspect(|receipt| {
            assert_eq!(receipt.outcome(), Outcome::Committed);
            assert!(!receipt.written_at.as_ref().unwrap().value.is_empty());
            assert!(receipt.commit_time.unwrap().seconds > 0);
        })
        .map(|receipt| receipt.streams.iter().map(|stream| (stream.stream_id.clone(), stream.version)).collect())
        .collect();
    let a = |version| ("account-a".to_owned(), version);
    let b = |version| ("account-b".to_owned(), version);
    let expected =
        [vec![a(1)], vec![b(1)], vec![a(2)], vec![a(3)], vec![a(4), b(2)], vec![a(5)], vec![a(6)], vec![a(7)]];
    assert_eq!(streams, expected);

    let types: Vec<_> = client.stored().await.iter().map(|event| event.event_type.to_string()).collect();
    let names = [
        "AccountOpened",
        "AccountOpened",
        "MoneyDeposited",
        "MoneyWithdrawn",
        "TransferSent",
        "TransferReceived",
        "AccountFrozen",
        "AccountUnfrozen",
        "AccountClosed",
    ];
    assert_eq!(types, names.map(|name| format!("ledger.event.v1.{name}")));
}

#[tokio::test]
async fn a_repeated_command_gets_the_same_receipt() {
    let mut client = GrpcHarness::with_accounts(&["a"]).await;
    let request = deposit("a", 100);
    let first = client.commands.deposit(request.clone()).await.unwrap().into_inner();
    let again = client.commands.deposit(request.clone()).await.unwrap().into_inner();
    assert!(!first.repeated && again.repeated);
    assert_eq!(first.receipt, again.receipt);
    assert_eq!(client.stored().await.len(), 2);

    let asked = GetReceiptRequest { request_id: request.request_id.to_uppercase() };
    assert_eq!(client.commands.get_receipt(asked).await.unwrap().into_inner().receipt, first.receipt);
}

#[tokio::test]
async fn a_refused_command_gets_the_same_refusal_and_so_does_its_receipt() {
    let mut client = GrpcHarness::with_accounts(&["a"]).await;
    let request = withdraw("a", 1_000_000);
    let first = error_parts(&client.commands.withdraw(request.clone()).await.unwrap_err());
    // The rules would accept it now.
    client.commands.deposit(deposit("a", 1_000_000)).await.unwrap();
    assert_eq!(error_parts(&client.commands.withdraw(request.clone()).await.unwrap_err()), first);
    let asked = GetReceiptRequest { request_id: request.request_id.clone() };
    assert_eq!(error_parts(&client.commands.get_receipt(asked).await.unwrap_err()), first);
    let other = WithdrawRequest { amount_minor: 1, ..request.clone() };
    let reused = error_parts(&client.commands.withdraw(other).await.unwrap_err());
    assert_eq!(
        reused,
        refused(Code::AlreadyExists, "diptych.v1", "REQUEST_ID_REUSED", &[("request_id", &request.request_id)])
    );
    assert_eq!(client.stored().await.len(), 2);
    client.commands.withdraw(withdraw("a", 1_000_000)).await.unwrap();
}

#[tokio::test]
async fn a_request_id_with_other_content_is_refused() {
    let mut client = GrpcHarness::with_accounts(&["a"]).await;
    let request = deposit("a", 100);
    client.commands.deposit(request.clone()).await.unwrap();
    let other = DepositRequest { amount_minor: 101, ..request.clone() };
    let expected =
        refused(Code::AlreadyExists, "diptych.v1", "REQUEST_ID_REUSED", &[("request_id", &request.request_id)]);
    assert_eq!(error_parts(&client.commands.deposit(other).await.unwrap_err()), expected);
    assert_eq!(client.stored().await.len(), 2);
}

#[tokio::test]
async fn a_refusal_has_the_documented_metadata() {
    let mut client = GrpcHarness::with_accounts(&["a", "b"]).await;
    let failed = |reason: &str, metadata: &[(&str, &str)]| refused(Code::FailedPrecondition, DOMAIN, reason, metadata);
    let a = ("account_id", "a");
    let commands = &mut client.commands;

    let unknown = commands.deposit(deposit("x", 1)).await.unwrap_err();
    let not_found = ErrorParts {
        resource: Some(("account".to_owned(), "x".to_owned())),
        ..refused(Code::NotFound, DOMAIN, "ACCOUNT_NOT_FOUND", &[("account_id", "x")])
    };
    assert_eq!(error_parts(&unknown), not_found);

    let exists = commands.open_account(open("a")).await.unwrap_err();
    assert_eq!(error_parts(&exists), failed("ACCOUNT_EXISTS", &[a]));

    let too_much = commands.withdraw(withdraw("a", 1_001)).await.unwrap_err();
    let values = [a, ("amount_minor", "1001"), ("balance_minor", "0"), ("overdraft_limit_minor", "1000")];
    assert_eq!(error_parts(&too_much), failed("INSUFFICIENT_FUNDS", &values));

    let euros = DepositRequest { currency_code: "EUR".to_owned(), ..deposit("a", 1) };
    let values = [a, ("account_currency_code", "CZK"), ("currency_code", "EUR")];
    assert_eq!(error_parts(&commands.deposit(euros).await.unwrap_err()), failed("CURRENCY_MISMATCH", &values));

    let same = commands.transfer(transfer("a", "a", 1)).await.unwrap_err();
    assert_eq!(error_parts(&same), failed("SAME_ACCOUNT", &[a]));

    let not_frozen = commands.unfreeze_account(unfreeze("a")).await.unwrap_err();
    assert_eq!(error_parts(&not_frozen), failed("ACCOUNT_NOT_FROZEN", &[a]));

    commands.deposit(deposit("a", 5)).await.unwrap();
    let not_zero = commands.close_account(close("a")).await.unwrap_err();
    assert_eq!(error_parts(&not_zero), failed("BALANCE_NOT_ZERO", &[a, ("balance_minor", "5")]));

    commands.freeze_account(freeze("a")).await.unwrap();
    let frozen = commands.deposit(deposit("a", 1)).await.unwrap_err();
    assert_eq!(error_parts(&frozen), failed("ACCOUNT_FROZEN", &[a]));

    commands.close_account(close("b")).await.unwrap();
    let closed = commands.deposit(deposit("b", 1)).await.unwrap_err();
    assert_eq!(error_parts(&closed), failed("ACCOUNT_CLOSED", &[("account_id", "b")]));
    assert_eq!(client.stored().await.len(), 5);
}

#[tokio::test]
async fn a_stale_version_is_refused_with_both_versions() {
    let mut client = GrpcHarness::with_accounts(&["a"]).await;
    let at = |expected_version| DepositRequest { expected_version: Some(expected_version), ..deposit("a", 1) };
    client.commands.deposit(at(1)).await.unwrap();
    let stale = client.commands.deposit(at(1)).await.unwrap_err();
    let values = [("stream_id", "account-a"), ("expected_version", "1"), ("actual_version", "2")];
    let expected = ErrorParts {
        resource: Some(("stream".to_owned(), "account-a".to_owned())),
        ..refused(Code::Aborted, "diptych.v1", "VERSION_MISMATCH", &values)
    };
    assert_eq!(error_parts(&stale), expected);
}

#[tokio::test]
async fn an_invalid_command_stores_nothing() {
    let mut client = GrpcHarness::with_accounts(&["a"]).await;
    let before = client.stored().await;
    let commands = &mut client.commands;
    let bad = DepositRequest { amount_minor: 0, ..deposit("a", 1) };
    let error = commands.deposit(bad.clone()).await.unwrap_err();
    assert_eq!(error_parts(&error), bad_field("FIELD_OUT_OF_RANGE", "amount_minor"));
    let error = commands.deposit(DepositRequest::default()).await.unwrap_err();
    let fields = ["request_id", "account_id", "amount_minor", "currency_code"];
    assert_eq!(error_parts(&error), bad_fields("FIELD_MISSING", &fields));
    for (request_id, reason) in [("", "FIELD_MISSING"), ("7", "FIELD_MALFORMED")] {
        let error = commands.get_receipt(GetReceiptRequest { request_id: request_id.to_owned() }).await.unwrap_err();
        assert_eq!(error_parts(&error), bad_field(reason, "request_id"));
    }

    let asked = GetReceiptRequest { request_id: bad.request_id.clone() };
    let error = commands.get_receipt(asked).await.unwrap_err();
    let expected = ErrorParts {
        resource: Some(("receipt".to_owned(), bad.request_id.clone())),
        ..refused(Code::NotFound, "diptych.v1", "RECEIPT_NOT_FOUND", &[("request_id", &bad.request_id)])
    };
    assert_eq!(error_parts(&error), expected);
    assert_eq!(client.stored().await, before);
}

#[tokio::test]
async fn the_trace_of_a_command_travels_with_its_events() {
    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut client = GrpcHarness::start().await;
    let mut request = Request::new(open("a"));
    request.metadata_mut().insert("traceparent", TRACE.parse().unwrap());
    client.commands.open_account(request).await.unwrap();
    let stored = client.stored().await;
    assert_eq!(stored[0].metadata.traceparent.as_deref(), Some(TRACE));
}

#[tokio::test]
async fn a_service_that_is_shutting_down_accepts_no_command() {
    let mut client = GrpcHarness::with_accounts(&["a"]).await;
    client.tasks.shutdown().begin();
    let expected = ErrorParts { retry: true, ..refused(Code::Unavailable, "diptych.v1", "SHUTTING_DOWN", &[]) };
    assert_eq!(error_parts(&client.commands.deposit(deposit("a", 1)).await.unwrap_err()), expected);
}
