//! Decides commands: which are accepted, and which events they produce.

use diptych_proto::ledger::event::v1;

use super::{
    Account, AccountId, Amount, Command, Currency, Deposit, Event, Funds, OpenAccount, Refusal, StatusChange, Transfer,
    Withdraw,
};

type Decision = Result<Vec<(usize, Event)>, Refusal>;

/// Decides a command. `states` are those of [`Command::streams`], in the same order; a missing one counts as never
/// opened.
pub(crate) fn decide(states: &[Account], command: &Command) -> Decision {
    let first = states.first().unwrap_or(&Account::Unopened);
    match command {
        Command::OpenAccount(command) => open(first, command),
        Command::Deposit(command) => deposit(first, command),
        Command::Withdraw(command) => withdraw(first, command),
        Command::Transfer(command) => transfer(first, states.get(1).unwrap_or(&Account::Unopened), command),
        Command::FreezeAccount(command) => freeze(first, command),
        Command::UnfreezeAccount(command) => unfreeze(first, command),
        Command::CloseAccount(command) => close(first, command),
    }
}

fn open(state: &Account, command: &OpenAccount) -> Decision {
    let account_id = &command.account_id;
    if *state != Account::Unopened {
        return Err(Refusal::AccountExists { account_id: account_id.clone() });
    }
    single(Event::AccountOpened(v1::AccountOpened {
        account_id: account_id.as_str().to_owned(),
        owner_id: command.owner_id.as_str().to_owned(),
        currency_code: command.currency.as_str().to_owned(),
        overdraft_limit_minor: command.overdraft_limit.minor(),
    }))
}

fn deposit(state: &Account, command: &Deposit) -> Decision {
    let funds = require_open_in(state, &command.account_id, command.currency)?;
    let balance_after_minor = credit(funds, &command.account_id, command.amount)?;
    single(Event::MoneyDeposited(v1::MoneyDeposited {
        amount_minor: command.amount.minor(),
        balance_after_minor,
        currency_code: command.currency.as_str().to_owned(),
        details: command.details.to_event(),
    }))
}

fn withdraw(state: &Account, command: &Withdraw) -> Decision {
    let funds = require_open_in(state, &command.account_id, command.currency)?;
    let balance_after_minor = debit(funds, &command.account_id, command.amount)?;
    single(Event::MoneyWithdrawn(v1::MoneyWithdrawn {
        amount_minor: command.amount.minor(),
        balance_after_minor,
        currency_code: command.currency.as_str().to_owned(),
        details: command.details.to_event(),
    }))
}

fn transfer(from: &Account, to: &Account, command: &Transfer) -> Decision {
    let Transfer { from_account_id, to_account_id, amount, currency, details } = command;
    if from_account_id == to_account_id {
        return Err(Refusal::SameAccount { account_id: from_account_id.clone() });
    }
    let payer = require_open_in(from, from_account_id, *currency)?;
    let receiver = require_open_in(to, to_account_id, *currency)?;
    let sent = v1::TransferSent {
        amount_minor: amount.minor(),
        balance_after_minor: debit(payer, from_account_id, *amount)?,
        currency_code: currency.as_str().to_owned(),
        details: details.to_event(),
        to_account_id: to_account_id.as_str().to_owned(),
    };
    let received = v1::TransferReceived {
        amount_minor: amount.minor(),
        balance_after_minor: credit(receiver, to_account_id, *amount)?,
        currency_code: currency.as_str().to_owned(),
        details: details.to_event(),
        from_account_id: from_account_id.as_str().to_owned(),
    };
    Ok(vec![(0, Event::TransferSent(sent)), (1, Event::TransferReceived(received))])
}

fn freeze(state: &Account, command: &StatusChange) -> Decision {
    require_open(state, &command.account_id)?;
    single(Event::AccountFrozen(v1::AccountFrozen { explanation: command.explanation.as_str().to_owned() }))
}

fn unfreeze(state: &Account, command: &StatusChange) -> Decision {
    let account_id = &command.account_id;
    let Account::Frozen(_) = state else {
        require_open(state, account_id)?;
        return Err(Refusal::AccountNotFrozen { account_id: account_id.clone() });
    };
    single(Event::AccountUnfrozen(v1::AccountUnfrozen { explanation: command.explanation.as_str().to_owned() }))
}

fn close(state: &Account, command: &StatusChange) -> Decision {
    let account_id = &command.account_id;
    let funds = require_open(state, account_id)?;
    if funds.balance_minor != 0 {
        return Err(Refusal::BalanceNotZero { account_id: account_id.clone(), balance_minor: funds.balance_minor });
    }
    single(Event::AccountClosed(v1::AccountClosed {
        explanation: command.explanation.as_str().to_owned(),
        currency_code: funds.currency.as_str().to_owned(),
    }))
}

/// Returns the funds of an account that is open and not frozen.
fn require_open<'a>(state: &'a Account, account_id: &AccountId) -> Result<&'a Funds, Refusal> {
    let account_id = || account_id.clone();
    match state {
        Account::Open(funds) => Ok(funds),
        Account::Unopened => Err(Refusal::AccountNotFound { account_id: account_id() }),
        Account::Frozen(_) => Err(Refusal::AccountFrozen { account_id: account_id() }),
        Account::Closed => Err(Refusal::AccountClosed { account_id: account_id() }),
    }
}

/// Returns the funds of an account that accepts postings in a currency.
fn require_open_in<'a>(state: &'a Account, account_id: &AccountId, currency: Currency) -> Result<&'a Funds, Refusal> {
    let funds = require_open(state, account_id)?;
    if funds.currency != currency {
        return Err(Refusal::CurrencyMismatch {
            account_id: account_id.clone(),
            account_currency: funds.currency,
            currency,
        });
    }
    Ok(funds)
}

/// Returns the balance after adding the amount.
fn credit(funds: &Funds, account_id: &AccountId, amount: Amount) -> Result<i64, Refusal> {
    let overflow =
        || Refusal::BalanceOverflow { account_id: account_id.clone(), amount, balance_minor: funds.balance_minor };
    funds.balance_minor.checked_add(amount.minor()).ok_or_else(overflow)
}

/// Returns the balance after subtracting the amount, unless that is below the overdraft limit.
fn debit(funds: &Funds, account_id: &AccountId, amount: Amount) -> Result<i64, Refusal> {
    let lowest_minor = -funds.overdraft_limit.minor();
    let after_minor = funds.balance_minor.checked_sub(amount.minor());
    after_minor.filter(|after_minor| *after_minor >= lowest_minor).ok_or_else(|| Refusal::InsufficientFunds {
        account_id: account_id.clone(),
        amount,
        balance_minor: funds.balance_minor,
        overdraft_limit: funds.overdraft_limit,
    })
}

fn single(event: Event) -> Decision {
    Ok(vec![(0, event)])
}
