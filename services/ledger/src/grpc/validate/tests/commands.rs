use diptych_kernel::{Fingerprint, Version};
use diptych_proto::ledger::command::v1::{
    CloseAccountRequest, DepositRequest, FreezeAccountRequest, OpenAccountRequest, PostingDetails, TransferRequest,
    UnfreezeAccountRequest, WithdrawRequest,
};
use prost::Message;

use super::*;
use crate::{
    domain::Command,
    grpc::validate::{CommandRequest, command},
};

const REQUEST_ID: &str = "7f3c2a9e-5b0d-4c1e-9a52-0d8b6f1f0c11";
const AMOUNT_MAX: i64 = 1_000_000_000_000_000;

fn details() -> Option<PostingDetails> {
    Some(PostingDetails {
        value_date: "2024-02-29".into(),
        reference: "é".repeat(70),
        purpose: "rent".into(),
        counterparty: "landlord".into(),
    })
}

fn open() -> OpenAccountRequest {
    OpenAccountRequest {
        request_id: REQUEST_ID.into(),
        account_id: "a".into(),
        owner_id: "o".into(),
        currency_code: "CZK".into(),
        overdraft_limit_minor: 5,
        options: None,
    }
}

fn deposit() -> DepositRequest {
    DepositRequest {
        request_id: REQUEST_ID.into(),
        account_id: "a".into(),
        amount_minor: 5,
        currency_code: "CZK".into(),
        details: details(),
        expected_version: Some(3),
        options: None,
    }
}

fn withdraw() -> WithdrawRequest {
    WithdrawRequest {
        request_id: REQUEST_ID.into(),
        account_id: "a".into(),
        amount_minor: 5,
        currency_code: "CZK".into(),
        details: details(),
        expected_version: Some(3),
        options: None,
    }
}

fn transfer() -> TransferRequest {
    TransferRequest {
        request_id: REQUEST_ID.into(),
        from_account_id: "a".into(),
        to_account_id: "b".into(),
        amount_minor: 5,
        currency_code: "CZK".into(),
        details: details(),
        expected_version: Some(3),
        options: None,
    }
}

fn freeze() -> FreezeAccountRequest {
    FreezeAccountRequest {
        request_id: REQUEST_ID.into(),
        account_id: "a".into(),
        explanation: "why".into(),
        expected_version: Some(3),
        options: None,
    }
}

fn unfreeze() -> UnfreezeAccountRequest {
    UnfreezeAccountRequest {
        request_id: REQUEST_ID.into(),
        account_id: "a".into(),
        explanation: "why".into(),
        expected_version: Some(3),
        options: None,
    }
}

fn close() -> CloseAccountRequest {
    CloseAccountRequest {
        request_id: REQUEST_ID.into(),
        account_id: "a".into(),
        explanation: "why".into(),
        expected_version: Some(3),
        options: None,
    }
}

/// Sets one field of a valid request to each invalid value in turn, and expects a failure that names it.
fn refuses<R: CommandRequest + Clone + std::fmt::Debug, T: Clone + std::fmt::Debug>(
    good: &R,
    field: &str,
    set: impl Fn(&mut R, T),
    bad: impl IntoIterator<Item = (T, &'static str)>,
) {
    assert!(command(good.clone()).is_ok(), "{good:?}");
    for (value, reason) in bad {
        let mut request = good.clone();
        set(&mut request, value.clone());
        let failure = command(request).expect_err(field);
        assert_eq!(reason_and_field(&failure), (reason, field.to_owned()), "{} {field} {value:?}", R::KIND);
        let message = failure.to_rpc_status().message;
        assert!(message.starts_with(field) && message.len() < 600 && !message.contains('\0'), "{message}");
    }
}

/// Sets one field of a valid request to each of these values, and expects that all are accepted.
fn accepts<R: CommandRequest + Clone + std::fmt::Debug, T>(
    good: &R,
    set: impl Fn(&mut R, T),
    values: impl IntoIterator<Item = T>,
) {
    for value in values {
        let mut request = good.clone();
        set(&mut request, value);
        let outcome = command(request.clone());
        assert!(outcome.is_ok(), "{request:?} {outcome:?}");
    }
}

fn bad_request_ids() -> Vec<(String, &'static str)> {
    let mut bad = vec![(String::new(), MISSING)];
    let malformed = [
        "1",
        "7f3c2a9e5b0d4c1e9a520d8b6f1f0c11",
        "{7f3c2a9e-5b0d-4c1e-9a52-0d8b6f1f0c11}",
        "7f3c2a9e-5b0d-4c1e-9a52-0d8b6f1f0c1",
        "7f3c2a9e-5b0d-4c1e-9a52-0d8b6f1f0c1g",
        "00000000-0000-0000-0000-000000000000",
        " 7f3c2a9e-5b0d-4c1e-9a52-0d8b6f1f0c11",
    ];
    bad.extend(malformed.map(|text| (text.to_owned(), MALFORMED)));
    bad.push(("x".repeat(100_000), MALFORMED));
    bad
}

fn bad_amounts() -> [(i64, &'static str); 5] {
    [0, -1, i64::MIN, AMOUNT_MAX + 1, i64::MAX].map(|minor| (minor, OUT_OF_RANGE))
}

fn bad_versions() -> [(i64, &'static str); 5] {
    [0, -1, i64::MIN, 1 << 32, i64::MAX].map(|version| (version, OUT_OF_RANGE))
}

fn bad_texts() -> Vec<(String, &'static str)> {
    vec![
        ("x".repeat(141), TOO_LONG),
        ("é".repeat(71), TOO_LONG),
        ("x".repeat(100_000), TOO_LONG),
        ("a\nb".into(), MALFORMED),
        ("\0".into(), MALFORMED),
        ("\u{7f}".into(), MALFORMED),
        ("\u{9b}".into(), MALFORMED),
    ]
}

fn bad_dates() -> Vec<(String, &'static str)> {
    let bad = [
        "2023-02-29",
        "2024-13-01",
        "2024-1-1",
        "20240101",
        "2024-01-01T00:00:00Z",
        "0000-01-01",
        "yesterday",
        " ",
        "\0",
    ];
    bad.into_iter().map(str::to_owned).chain(["1".repeat(100_000)]).map(|text| (text, MALFORMED)).collect()
}

/// Checks of the fields that several requests have.
macro_rules! fields {
    (request_id: $($good:expr),+) => { $(refuses(&$good, "request_id", |r, v| r.request_id = v, bad_request_ids());)+ };
    (account_id: $($good:expr),+) => { $(refuses(&$good, "account_id", |r, v| r.account_id = v, bad_ids());)+ };
    (currency_code: $($good:expr),+) => { $(
        refuses(&$good, "currency_code", |r, v| r.currency_code = v, bad_currencies());
    )+ };
    (amount_minor: $($good:expr),+) => { $(
        refuses(&$good, "amount_minor", |r, v| r.amount_minor = v, bad_amounts());
        accepts(&$good, |r, v| r.amount_minor = v, [1, AMOUNT_MAX]);
    )+ };
    (expected_version: $($good:expr),+) => { $(
        refuses(&$good, "expected_version", |r, v| r.expected_version = Some(v), bad_versions());
        accepts(&$good, |r, v| r.expected_version = v, [None, Some(1), Some(i64::from(u32::MAX))]);
    )+ };
    (explanation: $($good:expr),+) => { $(
        refuses(&$good, "explanation", |r, v| r.explanation = v, bad_texts());
        accepts(&$good, |r, v| r.explanation = v, [String::new(), "x".repeat(140)]);
    )+ };
    (details: $($good:expr),+) => { $(
        refuses(&$good, "details.value_date", |r, v| r.details.as_mut().unwrap().value_date = v, bad_dates());
        refuses(&$good, "details.reference", |r, v| r.details.as_mut().unwrap().reference = v, bad_texts());
        refuses(&$good, "details.purpose", |r, v| r.details.as_mut().unwrap().purpose = v, bad_texts());
        refuses(&$good, "details.counterparty", |r, v| r.details.as_mut().unwrap().counterparty = v, bad_texts());
        accepts(&$good, |r, v| r.details = v, [None, Some(PostingDetails::default())]);
    )+ };
}

#[test]
fn the_request_id_is_a_uuid() {
    fields!(request_id: open(), deposit(), withdraw(), transfer(), freeze(), unfreeze(), close());
    accepts(&open(), |r, v| r.request_id = v, [REQUEST_ID.to_uppercase()]);
}

#[test]
fn account_ids_are_validated() {
    fields!(account_id: open(), deposit(), withdraw(), freeze(), unfreeze(), close());
    refuses(&transfer(), "from_account_id", |r, v| r.from_account_id = v, bad_ids());
    refuses(&transfer(), "to_account_id", |r, v| r.to_account_id = v, bad_ids());
    accepts(&open(), |r, v| r.account_id = v, ["A".to_owned(), "Z.9_-".to_owned(), "x".repeat(64)]);
}

#[test]
fn the_owner_id_is_validated() {
    refuses(&open(), "owner_id", |r, v| r.owner_id = v, bad_ids());
}

#[test]
fn the_currency_is_three_upper_case_letters() {
    fields!(currency_code: open(), deposit(), withdraw(), transfer());
}

#[test]
fn the_amount_has_a_range() {
    fields!(amount_minor: deposit(), withdraw(), transfer());
}

#[test]
fn the_overdraft_limit_has_a_range() {
    let bad = [-1, i64::MIN, AMOUNT_MAX + 1, i64::MAX].map(|minor| (minor, OUT_OF_RANGE));
    refuses(&open(), "overdraft_limit_minor", |r, v| r.overdraft_limit_minor = v, bad);
    accepts(&open(), |r, v| r.overdraft_limit_minor = v, [0, AMOUNT_MAX]);
}

#[test]
fn texts_of_details_are_short_and_the_value_date_exists() {
    fields!(details: deposit(), withdraw(), transfer());
}

#[test]
fn the_explanation_is_short() {
    fields!(explanation: freeze(), unfreeze(), close());
}

#[test]
fn the_expected_version_has_a_range() {
    fields!(expected_version: deposit(), withdraw(), transfer(), freeze(), unfreeze(), close());
}

/// Reason and field of every violation that BadRequest names.
fn violations<R: CommandRequest>(request: R) -> Vec<(String, String)> {
    let status = command(request).unwrap_err().to_rpc_status();
    let bad = status.details.iter().find(|detail| detail.type_url.ends_with("google.rpc.BadRequest")).unwrap();
    let bad = diptych_proto::google::rpc::BadRequest::decode(bad.value.as_slice()).unwrap();
    bad.field_violations.into_iter().map(|violation| (violation.reason, violation.field)).collect()
}

#[test]
fn all_invalid_fields_of_a_command_are_named_at_once() {
    let named = |expected: &[(&str, &str)]| -> Vec<(String, String)> {
        expected.iter().map(|(reason, field)| ((*reason).to_owned(), (*field).to_owned())).collect()
    };
    let empty = [(MISSING, "request_id"), (MISSING, "account_id"), (MISSING, "owner_id"), (MISSING, "currency_code")];
    assert_eq!(violations(OpenAccountRequest::default()), named(&empty));
    assert_eq!(violations(CloseAccountRequest::default()), named(&empty[..2]));

    let long = "x".repeat(100_000);
    let every_field = TransferRequest {
        request_id: long.clone(),
        from_account_id: long.clone(),
        to_account_id: long.clone(),
        amount_minor: 0,
        currency_code: long.clone(),
        details: Some(PostingDetails {
            value_date: long.clone(),
            reference: long.clone(),
            purpose: long.clone(),
            counterparty: long,
        }),
        expected_version: Some(0),
        options: None,
    };
    let expected = [
        (MALFORMED, "request_id"),
        (TOO_LONG, "from_account_id"),
        (TOO_LONG, "to_account_id"),
        (OUT_OF_RANGE, "amount_minor"),
        (MALFORMED, "currency_code"),
        (MALFORMED, "details.value_date"),
        (TOO_LONG, "details.reference"),
        (TOO_LONG, "details.purpose"),
        (TOO_LONG, "details.counterparty"),
        (OUT_OF_RANGE, "expected_version"),
    ];
    assert_eq!(violations(every_field), named(&expected));
}

#[test]
fn a_validated_command_has_the_values_of_the_request() {
    let validated = command(deposit()).unwrap();
    assert_eq!(validated.request_id.to_string(), REQUEST_ID);
    assert_eq!(validated.expected_version, Some(Version::new(3)));
    let Command::Deposit(command) = validated.command else { panic!("a deposit: {validated:?}") };
    assert_eq!((command.account_id.as_str(), command.amount.minor()), ("a", 5));
    assert_eq!(command.currency.as_str(), "CZK");
    assert_eq!(command.details.value_date.unwrap().to_string(), "2024-02-29");
    assert_eq!(command.details.reference.as_str(), "é".repeat(70));
    assert_eq!((command.details.purpose.as_str(), command.details.counterparty.as_str()), ("rent", "landlord"));
}

#[test]
fn each_request_becomes_its_own_command() {
    let inner = |outcome: Result<crate::grpc::validate::ValidatedCommand, Failure>| outcome.unwrap().command;
    assert!(matches!(inner(command(open())), Command::OpenAccount(_)));
    assert!(matches!(inner(command(withdraw())), Command::Withdraw(_)));
    let Command::Transfer(moved) = inner(command(transfer())) else { panic!("a transfer") };
    assert_eq!((moved.from_account_id.as_str(), moved.to_account_id.as_str()), ("a", "b"));
    assert!(matches!(inner(command(freeze())), Command::FreezeAccount(_)));
    assert!(matches!(inner(command(unfreeze())), Command::UnfreezeAccount(_)));
    assert!(matches!(inner(command(close())), Command::CloseAccount(_)));
}

#[test]
fn the_fingerprint_is_of_everything_but_the_request_id() {
    let of = |request: &DepositRequest| command(request.clone()).unwrap().fingerprint;
    let mut other_id = deposit();
    other_id.request_id = "11111111-5b0d-4c1e-9a52-0d8b6f1f0c11".into();
    assert_eq!(of(&deposit()), of(&other_id));

    let changes: [fn(&mut DepositRequest); 5] = [
        |r| r.amount_minor += 1,
        |r| r.account_id.push('b'),
        |r| r.currency_code = "EUR".into(),
        |r| r.expected_version = None,
        |r| r.details.as_mut().unwrap().purpose.clear(),
    ];
    for change in changes {
        let mut other = deposit();
        change(&mut other);
        assert_ne!(of(&deposit()), of(&other), "{other:?}");
    }
    // The same fields in another kind of command are another command.
    assert_ne!(of(&deposit()), command(withdraw()).unwrap().fingerprint);
}

/// Fingerprints are stored: a change would refuse repeats of commands from before an upgrade.
#[test]
fn fingerprints_never_change() {
    let content = DepositRequest { request_id: String::new(), ..deposit() }.encode_to_vec();
    assert_eq!(command(deposit()).unwrap().fingerprint, Fingerprint::of("ledger.command.v1.DepositRequest", &content));
    let hex: String = content.iter().map(|byte| format!("{byte:02x}")).collect();
    let reference = "c3a9".repeat(70);
    let expected = format!(
        "120161180522{}2a{}0a0a323032342d30322d3239128c01{reference}1a0472656e7422086c616e646c6f72643003",
        "0343 5a4b".replace(' ', ""),
        "ab01",
    );
    assert_eq!(hex, expected);
}
