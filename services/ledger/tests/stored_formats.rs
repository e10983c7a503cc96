//! Stored formats are permanent. Every test here pins stored bytes: a failure means that a stored format was changed by
//! accident. Do not change the bytes; add a new field, a new event or a new snapshot format instead.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is the report of a test")]

mod common;

use common::*;
use diptych_kernel::domain::Domain;
use diptych_ledger::{
    Ledger,
    domain::{Account, Event, Funds},
};
use diptych_proto::ledger::event::v1;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// An event of each type with every field set.
fn events() -> Vec<(Event, &'static str, &'static str)> {
    let details = Some(rent_in_events());
    let currency_code = || "CZK".to_owned();
    vec![
        (opened("acc-1", 50_000), "ledger.event.v1.AccountOpened", "0a056163632d3112046f6c67611a03435a4b20d08603"),
        (
            Event::MoneyDeposited(v1::MoneyDeposited {
                amount_minor: 12_345,
                balance_after_minor: -7,
                currency_code: currency_code(),
                details: details.clone(),
            }),
            "ledger.event.v1.MoneyDeposited",
            "08b96010f9ffffffffffffffff011a03435a4b22210a0a323032342d30322d32391203722d311a0472656e7422086c616e646c6f7264",
        ),
        (
            Event::MoneyWithdrawn(v1::MoneyWithdrawn {
                amount_minor: 1_000_000_000_000_000,
                balance_after_minor: i64::MAX,
                currency_code: currency_code(),
                details: None,
            }),
            "ledger.event.v1.MoneyWithdrawn",
            "0880809aa6eaafe30110ffffffffffffffff7f1a03435a4b",
        ),
        (
            Event::TransferSent(v1::TransferSent {
                amount_minor: 1,
                balance_after_minor: 0,
                currency_code: currency_code(),
                details,
                to_account_id: "b".to_owned(),
            }),
            "ledger.event.v1.TransferSent",
            "08011a03435a4b22210a0a323032342d30322d32391203722d311a0472656e7422086c616e646c6f72642a0162",
        ),
        (received("a", 1, 2), "ledger.event.v1.TransferReceived", "080110021a03435a4b2a0161"),
        (frozen(), "ledger.event.v1.AccountFrozen", "0a0961736b656420666f72"),
        (unfrozen(), "ledger.event.v1.AccountUnfrozen", "0a0961736b656420666f72"),
        (closed(), "ledger.event.v1.AccountClosed", "0a0961736b656420666f721203435a4b"),
    ]
}

#[test]
fn the_encoding_of_events_never_changes() {
    for (event, event_type, payload) in events() {
        let (encoded_type, encoded) = Ledger::encode_event(&event);
        assert_eq!((&*encoded_type, hex(&encoded).as_str()), (event_type, payload));
    }
}

#[test]
fn events_in_the_pinned_encoding_are_decoded() {
    for (event, event_type, payload) in events() {
        assert_eq!(Ledger::decode_event(event_type, &bytes(payload)), Ok(event));
    }
}

#[test]
fn unknown_fields_are_ignored() {
    // Field 15, a text.
    let payload = [bytes("080110021a03435a4b2a0161"), bytes("7a036e6577")].concat();
    assert_eq!(Ledger::decode_event("ledger.event.v1.TransferReceived", &payload), Ok(received("a", 1, 2)));
}

#[test]
fn events_that_no_rule_allows_are_not_decoded() {
    let wrong = [
        ("ledger.event.v1.AccountOpened", ""),
        ("ledger.event.v1.AccountOpened", "0a056163632d3112046f6c67611a03637a6b20d08603"),
        ("ledger.event.v1.MoneyDeposited", ""),
        ("ledger.event.v1.MoneyDeposited", "08001a03435a4b"),
        ("ledger.event.v1.TransferReceived", "080110021a03435a4b"),
        ("ledger.event.v1.AccountClosed", ""),
        ("ledger.event.v1.AccountFrozen", "0aff"),
        ("ledger.event.v2.AccountFrozen", ""),
        ("", ""),
    ];
    for (event_type, payload) in wrong {
        let error = Ledger::decode_event(event_type, &bytes(payload)).unwrap_err();
        assert_eq!(error.what, event_type);
    }
}

#[test]
fn the_encoding_of_snapshots_never_changes() {
    let funds = || Funds { currency: currency("CZK"), balance_minor: -7, overdraft_limit: limit(50_000) };
    let states = [
        (Account::Unopened, ""),
        (Account::Open(funds()), "08011203435a4b18f9ffffffffffffffff0120d08603"),
        (Account::Frozen(funds()), "08021203435a4b18f9ffffffffffffffff0120d08603"),
        (Account::Closed, "0803"),
    ];
    assert_eq!(Ledger::SNAPSHOT_FORMAT, 1);
    for (state, snapshot) in states {
        assert_eq!(hex(&Ledger::encode_snapshot(&state)), snapshot);
        assert_eq!(Ledger::decode_snapshot(&bytes(snapshot)), Ok(state));
    }
    for wrong in ["0801", "0804", "0802", "08011203637a6b", "08", "ff"] {
        assert!(Ledger::decode_snapshot(&bytes(wrong)).is_err(), "{wrong}");
    }
}

#[test]
fn the_names_of_streams_and_views_never_change() {
    assert_eq!(stream("acc-1").as_str(), "account-acc-1");
    let mut names: Vec<String> = Ledger::views().iter().map(|view| view.id().to_string()).collect();
    names.sort_unstable();
    assert_eq!(names, ["accounts_by_owner_g1", "accounts_g2", "entries_g2", "totals_g1"]);
}
