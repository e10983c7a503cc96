//! Every rule and every refusal: given past events, when a command is decided, then these events or this refusal
//! result.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is the report of a test")]

mod common;

use common::*;
use diptych_kernel::testing::{Fixture, fixture};
use diptych_ledger::{
    Ledger,
    domain::{Command, Deposit, Event, Refusal, Transfer},
};

/// Account `a` with these events.
fn a(events: impl IntoIterator<Item = Event>) -> Fixture<Ledger> {
    fixture([(stream("a"), events.into_iter().collect())])
}

/// Accounts `a` and `b` with these events.
fn a_and_b(a: impl IntoIterator<Item = Event>, b: impl IntoIterator<Item = Event>) -> Fixture<Ledger> {
    fixture([(stream("a"), a.into_iter().collect()), (stream("b"), b.into_iter().collect())])
}

/// Every command on account `a` except opening it.
fn all_except_open() -> Vec<Command> {
    let mut commands = postings();
    commands.extend([freeze("a"), unfreeze("a"), close("a")]);
    commands
}

fn postings() -> Vec<Command> {
    vec![deposit("a", 1, "CZK"), withdraw("a", 1, "CZK"), transfer("a", "b", 1, "CZK"), transfer("b", "a", 1, "CZK")]
}

#[test]
fn an_account_is_opened() {
    a([]).when(open("a", 500)).then([(stream("a"), opened("a", 500))]);
}

#[test]
fn an_account_id_cannot_be_reused() {
    let exists = Refusal::AccountExists { account_id: account_id("a") };
    for history in [vec![opened("a", 0)], vec![opened("a", 0), frozen()], vec![opened("a", 0), closed()]] {
        a(history).when(open("a", 0)).then_refused(&exists);
    }
}

#[test]
fn an_account_that_was_never_opened_accepts_no_command() {
    let not_found = Refusal::AccountNotFound { account_id: account_id("a") };
    for command in all_except_open() {
        a_and_b([], [opened("b", 100)]).when(command).then_refused(&not_found);
    }
}

#[test]
fn a_closed_account_accepts_no_command() {
    let is_closed = Refusal::AccountClosed { account_id: account_id("a") };
    for command in all_except_open() {
        a_and_b([opened("a", 0), closed()], [opened("b", 100)]).when(command).then_refused(&is_closed);
    }
}

#[test]
fn a_frozen_account_accepts_only_unfreezing() {
    let is_frozen = Refusal::AccountFrozen { account_id: account_id("a") };
    let mut commands = postings();
    commands.extend([freeze("a"), close("a")]);
    for command in commands {
        a_and_b([opened("a", 100), frozen()], [opened("b", 100)]).when(command).then_refused(&is_frozen);
    }
    a([opened("a", 0), frozen()]).when(unfreeze("a")).then([(stream("a"), unfrozen())]);
}

#[test]
fn an_account_is_frozen_and_unfrozen_again() {
    a([opened("a", 0), deposited(5, 5)])
        .when(freeze("a"))
        .then([(stream("a"), frozen())])
        .when(unfreeze("a"))
        .then([(stream("a"), unfrozen())])
        .when(withdraw("a", 5, "CZK"))
        .then([(stream("a"), withdrawn(5, 0))]);
}

#[test]
fn only_a_frozen_account_is_unfrozen() {
    let not_frozen = Refusal::AccountNotFrozen { account_id: account_id("a") };
    a([opened("a", 0)]).when(unfreeze("a")).then_refused(&not_frozen);
    a([opened("a", 0), frozen(), unfrozen()]).when(unfreeze("a")).then_refused(&not_frozen);
}

#[test]
fn money_is_deposited_and_withdrawn() {
    a([opened("a", 0)])
        .when(deposit("a", 100, "CZK"))
        .then([(stream("a"), deposited(100, 100))])
        .when(withdraw("a", 30, "CZK"))
        .then([(stream("a"), withdrawn(30, 70))]);
}

#[test]
fn a_posting_in_another_currency_is_refused() {
    let mismatch = |id: &str| Refusal::CurrencyMismatch {
        account_id: account_id(id),
        account_currency: currency("CZK"),
        currency: currency("EUR"),
    };
    let both = || a_and_b([opened("a", 100)], [opened("b", 100)]);
    both().when(deposit("a", 1, "EUR")).then_refused(&mismatch("a"));
    both().when(withdraw("a", 1, "EUR")).then_refused(&mismatch("a"));
    both().when(transfer("a", "b", 1, "EUR")).then_refused(&mismatch("a"));
}

#[test]
fn a_transfer_to_an_account_in_another_currency_is_refused() {
    let mut euros = opened("b", 0);
    if let Event::AccountOpened(opened) = &mut euros {
        opened.currency_code = "EUR".to_owned();
    }
    a_and_b([opened("a", 100)], [euros]).when(transfer("a", "b", 1, "CZK")).then_refused(&Refusal::CurrencyMismatch {
        account_id: account_id("b"),
        account_currency: currency("EUR"),
        currency: currency("CZK"),
    });
}

#[test]
fn the_balance_stays_at_or_above_the_overdraft_limit() {
    let too_little = |balance_minor: i64| Refusal::InsufficientFunds {
        account_id: account_id("a"),
        amount: amount(11),
        balance_minor,
        overdraft_limit: limit(10),
    };
    a([opened("a", 10)])
        .when(withdraw("a", 11, "CZK"))
        .then_refused(&too_little(0))
        .when(withdraw("a", 10, "CZK"))
        .then([(stream("a"), withdrawn(10, -10))])
        .when(withdraw("a", 11, "CZK"))
        .then_refused(&too_little(-10));
    a_and_b([opened("a", 10)], [opened("b", 0)]).when(transfer("a", "b", 11, "CZK")).then_refused(&too_little(0));
}

#[test]
fn a_balance_fits_into_64_bits() {
    let nearly = i64::MAX - 5;
    let overflow =
        |id: &str| Refusal::BalanceOverflow { account_id: account_id(id), amount: amount(6), balance_minor: nearly };
    a([opened("a", 0), deposited(1, nearly)])
        .when(deposit("a", 6, "CZK"))
        .then_refused(&overflow("a"))
        .when(deposit("a", 5, "CZK"))
        .then([(stream("a"), deposited(5, i64::MAX))]);
    a_and_b([opened("a", 10)], [opened("b", 0), deposited(1, nearly)])
        .when(transfer("a", "b", 6, "CZK"))
        .then_refused(&overflow("b"));
}

#[test]
fn a_transfer_moves_money_between_two_accounts() {
    a_and_b([opened("a", 0), deposited(100, 100)], [opened("b", 0), deposited(1, 1)])
        .when(transfer("a", "b", 40, "CZK"))
        .then([(stream("a"), sent("b", 40, 60)), (stream("b"), received("a", 40, 41))]);
}

#[test]
fn a_transfer_needs_two_accounts() {
    let same = Refusal::SameAccount { account_id: account_id("a") };
    a([opened("a", 100)]).when(transfer("a", "a", 1, "CZK")).then_refused(&same);
    a([]).when(transfer("a", "a", 1, "CZK")).then_refused(&same);
}

#[test]
fn only_an_account_with_a_zero_balance_is_closed() {
    let not_zero = |balance_minor: i64| Refusal::BalanceNotZero { account_id: account_id("a"), balance_minor };
    a([opened("a", 0), deposited(1, 1)]).when(close("a")).then_refused(&not_zero(1));
    a([opened("a", 9), withdrawn(9, -9)]).when(close("a")).then_refused(&not_zero(-9));
    a([opened("a", 0), deposited(1, 1), withdrawn(1, 0)]).when(close("a")).then([(stream("a"), closed())]);
}

#[test]
fn details_of_a_command_are_stored_in_its_event() {
    let posting =
        Deposit { account_id: account_id("a"), amount: amount(7), currency: currency("CZK"), details: rent() };
    let mut expected = deposited(7, 7);
    if let Event::MoneyDeposited(event) = &mut expected {
        event.details = Some(rent_in_events());
    }
    a([opened("a", 0)]).when(Command::Deposit(posting)).then([(stream("a"), expected)]);
}

#[test]
fn details_of_a_transfer_are_stored_in_both_events() {
    let command = Transfer {
        from_account_id: account_id("a"),
        to_account_id: account_id("b"),
        amount: amount(7),
        currency: currency("CZK"),
        details: rent(),
    };
    let (mut out, mut into) = (sent("b", 7, -7), received("a", 7, 7));
    if let (Event::TransferSent(out), Event::TransferReceived(into)) = (&mut out, &mut into) {
        out.details = Some(rent_in_events());
        into.details = Some(rent_in_events());
    }
    a_and_b([opened("a", 7)], [opened("b", 0)])
        .when(Command::Transfer(command))
        .then([(stream("a"), out), (stream("b"), into)]);
}
