//! Builders of commands and events that the tests share.
#![allow(dead_code, reason = "every test binary uses a part of it")]

use diptych_kernel::StreamId;
use diptych_ledger::domain::{
    AccountId, Amount, Command, Currency, Deposit, Details, Event, OpenAccount, OverdraftLimit, OwnerId, StatusChange,
    Text, Transfer, ValueDate, Withdraw,
};
use diptych_proto::ledger::event::v1;

pub(crate) mod history;
pub(crate) mod model;

pub(crate) fn account_id(id: &str) -> AccountId {
    AccountId::parse(id).unwrap()
}

pub(crate) fn stream(id: &str) -> StreamId {
    account_id(id).stream_id().clone()
}

pub(crate) fn amount(minor: i64) -> Amount {
    Amount::from_minor(minor).unwrap()
}

pub(crate) fn limit(minor: i64) -> OverdraftLimit {
    OverdraftLimit::from_minor(minor).unwrap()
}

pub(crate) fn currency(code: &str) -> Currency {
    Currency::parse(code).unwrap()
}

pub(crate) fn text(text: &str) -> Text {
    Text::parse(text.to_owned()).unwrap()
}

pub(crate) fn rent() -> Details {
    Details {
        value_date: Some(ValueDate::parse("2024-02-29").unwrap()),
        reference: text("r-1"),
        purpose: text("rent"),
        counterparty: text("landlord"),
    }
}

pub(crate) fn rent_in_events() -> v1::PostingDetails {
    v1::PostingDetails {
        value_date: "2024-02-29".to_owned(),
        reference: "r-1".to_owned(),
        purpose: "rent".to_owned(),
        counterparty: "landlord".to_owned(),
    }
}

pub(crate) fn open(id: &str, overdraft_limit_minor: i64) -> Command {
    Command::OpenAccount(OpenAccount {
        account_id: account_id(id),
        owner_id: OwnerId::parse("olga").unwrap(),
        currency: currency("CZK"),
        overdraft_limit: limit(overdraft_limit_minor),
    })
}

pub(crate) fn deposit(id: &str, minor: i64, code: &str) -> Command {
    let (account_id, details) = (account_id(id), Details::default());
    Command::Deposit(Deposit { account_id, amount: amount(minor), currency: currency(code), details })
}

pub(crate) fn withdraw(id: &str, minor: i64, code: &str) -> Command {
    let (account_id, details) = (account_id(id), Details::default());
    Command::Withdraw(Withdraw { account_id, amount: amount(minor), currency: currency(code), details })
}

pub(crate) fn transfer(from: &str, to: &str, minor: i64, code: &str) -> Command {
    Command::Transfer(Transfer {
        from_account_id: account_id(from),
        to_account_id: account_id(to),
        amount: amount(minor),
        currency: currency(code),
        details: Details::default(),
    })
}

fn change(id: &str) -> StatusChange {
    StatusChange { account_id: account_id(id), explanation: text("asked for") }
}

pub(crate) fn freeze(id: &str) -> Command {
    Command::FreezeAccount(change(id))
}

pub(crate) fn unfreeze(id: &str) -> Command {
    Command::UnfreezeAccount(change(id))
}

pub(crate) fn close(id: &str) -> Command {
    Command::CloseAccount(change(id))
}

pub(crate) fn opened(id: &str, overdraft_limit_minor: i64) -> Event {
    Event::AccountOpened(v1::AccountOpened {
        account_id: id.to_owned(),
        owner_id: "olga".to_owned(),
        currency_code: "CZK".to_owned(),
        overdraft_limit_minor,
    })
}

pub(crate) fn deposited(amount_minor: i64, balance_after_minor: i64) -> Event {
    Event::MoneyDeposited(v1::MoneyDeposited {
        amount_minor,
        balance_after_minor,
        currency_code: "CZK".to_owned(),
        details: None,
    })
}

pub(crate) fn withdrawn(amount_minor: i64, balance_after_minor: i64) -> Event {
    Event::MoneyWithdrawn(v1::MoneyWithdrawn {
        amount_minor,
        balance_after_minor,
        currency_code: "CZK".to_owned(),
        details: None,
    })
}

pub(crate) fn sent(to: &str, amount_minor: i64, balance_after_minor: i64) -> Event {
    Event::TransferSent(v1::TransferSent {
        amount_minor,
        balance_after_minor,
        currency_code: "CZK".to_owned(),
        details: None,
        to_account_id: to.to_owned(),
    })
}

pub(crate) fn received(from: &str, amount_minor: i64, balance_after_minor: i64) -> Event {
    Event::TransferReceived(v1::TransferReceived {
        amount_minor,
        balance_after_minor,
        currency_code: "CZK".to_owned(),
        details: None,
        from_account_id: from.to_owned(),
    })
}

pub(crate) fn frozen() -> Event {
    Event::AccountFrozen(v1::AccountFrozen { explanation: "asked for".to_owned() })
}

pub(crate) fn unfrozen() -> Event {
    Event::AccountUnfrozen(v1::AccountUnfrozen { explanation: "asked for".to_owned() })
}

pub(crate) fn closed() -> Event {
    Event::AccountClosed(v1::AccountClosed { explanation: "asked for".to_owned(), currency_code: "CZK".to_owned() })
}
