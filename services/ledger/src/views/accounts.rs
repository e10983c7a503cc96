//! The view of accounts by id.

use bytes::Bytes;
use diptych_kernel::domain::{DecodedEvent, FoldError, RowKey, Scope, View, ViewId};
use diptych_proto::ledger::{
    event,
    query::v1::{Account, AccountStatus},
};
use prost::Message;

use super::fold::{account_id_of, decode_row, fold_error, record_time};
use crate::domain::{AccountId, Event};

/// The id of the view of accounts.
pub const ACCOUNTS: ViewId = ViewId { name: "accounts", generation: 2 };

/// The key of an account's row: the name of its stream. The row with the stream's version has the same partition key,
/// so that a store can write both at once.
#[must_use]
pub fn account_key(account_id: &AccountId) -> RowKey {
    RowKey::single(account_id.stream_id().as_str())
}

/// The view of accounts by id: a row is an `Account`.
#[derive(Debug, Clone, Copy)]
pub struct Accounts;

impl View<Event> for Accounts {
    fn id(&self) -> ViewId {
        ACCOUNTS
    }

    fn scope(&self) -> Scope {
        Scope::Stream
    }

    fn key(&self, event: DecodedEvent<'_, Event>) -> Option<RowKey> {
        account_id_of(event.record).as_ref().map(account_key)
    }

    fn fold(&self, row: Option<&[u8]>, event: DecodedEvent<'_, Event>) -> Result<Option<Bytes>, FoldError> {
        let mut account = match (row, event.event) {
            (None, Event::AccountOpened(opened)) => opened_account(event, opened),
            (None, _) => return Err(fold_error(ACCOUNTS, event, "the account was never opened")),
            (Some(_), Event::AccountOpened(_)) => {
                return Err(fold_error(ACCOUNTS, event, "the account is already open"));
            }
            (Some(row), _) => decode_row::<Account>(ACCOUNTS, event, row)?,
        };
        apply(&mut account, event.event);
        account.version = i64::from(event.record.version.number());
        account.update_time = Some(record_time(event.record));
        Ok(Some(account.encode_to_vec().into()))
    }
}

fn opened_account(event: DecodedEvent<'_, Event>, opened: &event::v1::AccountOpened) -> Account {
    Account {
        account_id: opened.account_id.clone(),
        owner_id: opened.owner_id.clone(),
        currency_code: opened.currency_code.clone(),
        overdraft_limit_minor: opened.overdraft_limit_minor,
        status: AccountStatus::Open.into(),
        open_time: Some(record_time(event.record)),
        ..Account::default()
    }
}

fn apply(account: &mut Account, event: &Event) {
    match event {
        Event::AccountOpened(_) => {}
        Event::MoneyDeposited(_) | Event::MoneyWithdrawn(_) | Event::TransferSent(_) | Event::TransferReceived(_) => {
            account.balance_minor = event.balance_after_minor().unwrap_or(account.balance_minor);
            account.entry_count = account.entry_count.saturating_add(1);
        }
        Event::AccountFrozen(_) => account.status = AccountStatus::Frozen.into(),
        Event::AccountUnfrozen(_) => account.status = AccountStatus::Open.into(),
        Event::AccountClosed(_) => account.status = AccountStatus::Closed.into(),
    }
}
