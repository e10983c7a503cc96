//! Encoding of stored events and snapshots.

use std::{
    fmt::Display,
    sync::{Arc, LazyLock},
};

use bytes::Bytes;
use diptych_kernel::domain::DecodeError;
use diptych_proto::ledger::event::v1;
use prost::Message;

use super::{Account, AccountId, Amount, Currency, Event, Funds, OverdraftLimit, OwnerId, ValueError};

/// The stored types of events. Permanent: stored events have them.
mod name {
    pub(super) const ACCOUNT_OPENED: &str = "ledger.event.v1.AccountOpened";
    pub(super) const MONEY_DEPOSITED: &str = "ledger.event.v1.MoneyDeposited";
    pub(super) const MONEY_WITHDRAWN: &str = "ledger.event.v1.MoneyWithdrawn";
    pub(super) const TRANSFER_SENT: &str = "ledger.event.v1.TransferSent";
    pub(super) const TRANSFER_RECEIVED: &str = "ledger.event.v1.TransferReceived";
    pub(super) const ACCOUNT_FROZEN: &str = "ledger.event.v1.AccountFrozen";
    pub(super) const ACCOUNT_UNFROZEN: &str = "ledger.event.v1.AccountUnfrozen";
    pub(super) const ACCOUNT_CLOSED: &str = "ledger.event.v1.AccountClosed";
}

const SNAPSHOT: &str = "ledger.event.v1.AccountSnapshot";

/// Every event type, allocated once, so that encoding an event does not copy its type.
static NAMES: LazyLock<[Arc<str>; 8]> = LazyLock::new(|| {
    [
        name::ACCOUNT_OPENED,
        name::MONEY_DEPOSITED,
        name::MONEY_WITHDRAWN,
        name::TRANSFER_SENT,
        name::TRANSFER_RECEIVED,
        name::ACCOUNT_FROZEN,
        name::ACCOUNT_UNFROZEN,
        name::ACCOUNT_CLOSED,
    ]
    .map(Arc::from)
});

pub(crate) fn encode_event(event: &Event) -> (Arc<str>, Bytes) {
    let [opened, deposited, withdrawn, sent, received, frozen, unfrozen, closed] = &*NAMES;
    let (name, payload) = match event {
        Event::AccountOpened(event) => (opened, event.encode_to_vec()),
        Event::MoneyDeposited(event) => (deposited, event.encode_to_vec()),
        Event::MoneyWithdrawn(event) => (withdrawn, event.encode_to_vec()),
        Event::TransferSent(event) => (sent, event.encode_to_vec()),
        Event::TransferReceived(event) => (received, event.encode_to_vec()),
        Event::AccountFrozen(event) => (frozen, event.encode_to_vec()),
        Event::AccountUnfrozen(event) => (unfrozen, event.encode_to_vec()),
        Event::AccountClosed(event) => (closed, event.encode_to_vec()),
    };
    (Arc::clone(name), payload.into())
}

/// Decodes an event and validates the fields that rules and views depend on.
pub(crate) fn decode_event(event_type: &str, payload: &[u8]) -> Result<Event, DecodeError> {
    match event_type {
        name::ACCOUNT_OPENED => decode_validated(event_type, payload, check_opened).map(Event::AccountOpened),
        name::MONEY_DEPOSITED => decode_validated(event_type, payload, |event: &v1::MoneyDeposited| {
            check_posting(event.amount_minor, &event.currency_code)
        })
        .map(Event::MoneyDeposited),
        name::MONEY_WITHDRAWN => decode_validated(event_type, payload, |event: &v1::MoneyWithdrawn| {
            check_posting(event.amount_minor, &event.currency_code)
        })
        .map(Event::MoneyWithdrawn),
        name::TRANSFER_SENT => decode_validated(event_type, payload, check_sent).map(Event::TransferSent),
        name::TRANSFER_RECEIVED => decode_validated(event_type, payload, check_received).map(Event::TransferReceived),
        name::ACCOUNT_FROZEN => decode_validated(event_type, payload, |_| Ok(())).map(Event::AccountFrozen),
        name::ACCOUNT_UNFROZEN => decode_validated(event_type, payload, |_| Ok(())).map(Event::AccountUnfrozen),
        name::ACCOUNT_CLOSED => decode_validated(event_type, payload, check_closed).map(Event::AccountClosed),
        _ => Err(DecodeError::new(event_type, "unknown event type")),
    }
}

/// A field and why its value is invalid.
type InvalidField = (&'static str, ValueError);

fn decode_validated<M: Message + Default>(
    what: &str,
    payload: &[u8],
    check: impl FnOnce(&M) -> Result<(), InvalidField>,
) -> Result<M, DecodeError> {
    let message = M::decode(payload).map_err(|error| DecodeError::new(what, error))?;
    check(&message).map_err(|(field, error)| DecodeError::new(what, format_args!("{field} {error}")))?;
    Ok(message)
}

fn check_opened(event: &v1::AccountOpened) -> Result<(), InvalidField> {
    AccountId::parse(&event.account_id).map_err(|error| ("account_id", error))?;
    OwnerId::parse(&event.owner_id).map_err(|error| ("owner_id", error))?;
    OverdraftLimit::from_minor(event.overdraft_limit_minor).map_err(|error| ("overdraft_limit_minor", error))?;
    check_currency(&event.currency_code)
}

fn check_sent(event: &v1::TransferSent) -> Result<(), InvalidField> {
    AccountId::parse(&event.to_account_id).map_err(|error| ("to_account_id", error))?;
    check_posting(event.amount_minor, &event.currency_code)
}

fn check_received(event: &v1::TransferReceived) -> Result<(), InvalidField> {
    AccountId::parse(&event.from_account_id).map_err(|error| ("from_account_id", error))?;
    check_posting(event.amount_minor, &event.currency_code)
}

fn check_closed(event: &v1::AccountClosed) -> Result<(), InvalidField> {
    check_currency(&event.currency_code)
}

fn check_posting(amount_minor: i64, currency_code: &str) -> Result<(), InvalidField> {
    Amount::from_minor(amount_minor).map_err(|error| ("amount_minor", error))?;
    check_currency(currency_code)
}

fn check_currency(currency_code: &str) -> Result<(), InvalidField> {
    Currency::parse(currency_code).map(|_| ()).map_err(|error| ("currency_code", error))
}

/// Values of `AccountSnapshot.status`.
mod status {
    pub(super) const UNOPENED: i32 = 0;
    pub(super) const OPEN: i32 = 1;
    pub(super) const FROZEN: i32 = 2;
    pub(super) const CLOSED: i32 = 3;
}

pub(crate) fn encode_snapshot(state: &Account) -> Bytes {
    let snapshot = match state {
        Account::Unopened => v1::AccountSnapshot { status: status::UNOPENED, ..Default::default() },
        Account::Open(funds) => snapshot_of(status::OPEN, funds),
        Account::Frozen(funds) => snapshot_of(status::FROZEN, funds),
        Account::Closed => v1::AccountSnapshot { status: status::CLOSED, ..Default::default() },
    };
    snapshot.encode_to_vec().into()
}

fn snapshot_of(status: i32, funds: &Funds) -> v1::AccountSnapshot {
    v1::AccountSnapshot {
        status,
        currency_code: funds.currency.as_str().to_owned(),
        balance_minor: funds.balance_minor,
        overdraft_limit_minor: funds.overdraft_limit.minor(),
    }
}

pub(crate) fn decode_snapshot(snapshot: &[u8]) -> Result<Account, DecodeError> {
    let unreadable = |reason: &dyn Display| DecodeError::new(SNAPSHOT, reason);
    let snapshot = v1::AccountSnapshot::decode(snapshot).map_err(|error| unreadable(&error))?;
    let funds = || {
        Ok(Funds {
            currency: Currency::parse(&snapshot.currency_code).map_err(|error| unreadable(&error))?,
            balance_minor: snapshot.balance_minor,
            overdraft_limit: OverdraftLimit::from_minor(snapshot.overdraft_limit_minor)
                .map_err(|error| unreadable(&error))?,
        })
    };
    match snapshot.status {
        status::UNOPENED => Ok(Account::Unopened),
        status::OPEN => funds().map(Account::Open),
        status::FROZEN => funds().map(Account::Frozen),
        status::CLOSED => Ok(Account::Closed),
        other => Err(unreadable(&format_args!("unknown status {other}"))),
    }
}
