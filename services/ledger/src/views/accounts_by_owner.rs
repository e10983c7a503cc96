//! The index of accounts by owner.

use bytes::Bytes;
use diptych_kernel::domain::{DecodedEvent, FoldError, RowKey, Scope, View, ViewId};
use diptych_proto::ledger::query::v1::Account;
use prost::Message;

use super::fold::account_id_of;
use crate::domain::Event;

/// The id of the index of accounts by owner.
pub const ACCOUNTS_BY_OWNER: ViewId = ViewId { name: "accounts_by_owner", generation: 1 };

/// The index of accounts by owner, in the order of account ids. A row is written when an account is opened and never
/// again, so it has only the ids; the state of an account is in [`ACCOUNTS`](super::ACCOUNTS).
#[derive(Debug, Clone, Copy)]
pub struct AccountsByOwner;

impl View<Event> for AccountsByOwner {
    fn id(&self) -> ViewId {
        ACCOUNTS_BY_OWNER
    }

    fn scope(&self) -> Scope {
        Scope::Stream
    }

    /// An account is opened once.
    fn has_one_event_per_row(&self) -> bool {
        true
    }

    /// Not cached: rows are read by scans.
    fn is_cached(&self) -> bool {
        false
    }

    fn key(&self, event: DecodedEvent<'_, Event>) -> Option<RowKey> {
        let Event::AccountOpened(opened) = event.event else { return None };
        let account_id = account_id_of(event.record)?;
        Some(RowKey::new(&opened.owner_id, account_id.as_str().as_bytes().to_vec()))
    }

    fn fold(&self, row: Option<&[u8]>, event: DecodedEvent<'_, Event>) -> Result<Option<Bytes>, FoldError> {
        let Event::AccountOpened(opened) = event.event else { return Ok(row.map(Bytes::copy_from_slice)) };
        let ids =
            Account { account_id: opened.account_id.clone(), owner_id: opened.owner_id.clone(), ..Account::default() };
        Ok(Some(ids.encode_to_vec().into()))
    }
}
