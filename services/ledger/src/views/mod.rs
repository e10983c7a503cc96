//! The read tables, as folds over events. Rows are encoded messages of `ledger.query.v1`.
//!
//! | view | a row | is found by |
//! |---|---|---|
//! | [`ACCOUNTS`] | `Account` | account id |
//! | [`ENTRIES`] | `Entry` | account id and a bucket of 1,000 versions, newest first |
//! | [`ACCOUNTS_BY_OWNER`] | `Account` with its ids only | owner id, in the order of account ids |
//! | [`TOTALS`] | `Totals` of one partition | currency, then partition |

mod accounts;
mod accounts_by_owner;
mod entries;
mod totals;

use diptych_kernel::{
    RecordedEvent,
    domain::{DecodedEvent, FoldError, View, ViewId},
};
use prost::Message;

use crate::domain::{AccountId, Event};

pub use accounts::{ACCOUNTS, Accounts, account_key};
pub use accounts_by_owner::{ACCOUNTS_BY_OWNER, AccountsByOwner};
pub use entries::{BUCKET_VERSIONS, ENTRIES, Entries, EntryKey};
pub use totals::{MergeTotalsError, TOTALS, TotalsByCurrency, merge_totals, totals_key};

/// All views of the ledger.
#[must_use]
pub fn all() -> Vec<Box<dyn View<Event>>> {
    vec![Box::new(Accounts), Box::new(Entries), Box::new(AccountsByOwner), Box::new(TotalsByCurrency)]
}

/// The account whose event it is. The write side writes no others; a stream of another kind concerns no row.
fn account_of(record: &RecordedEvent) -> Option<AccountId> {
    AccountId::of_stream(&record.stream_id)
}

fn fold_error(view: ViewId, event: DecodedEvent<'_, Event>, reason: impl Into<String>) -> FoldError {
    FoldError { view, event_type: event.record.event_type.to_string(), reason: reason.into() }
}

/// Reads the row before an event.
fn read_row<M: Message + Default>(view: ViewId, event: DecodedEvent<'_, Event>, row: &[u8]) -> Result<M, FoldError> {
    M::decode(row).map_err(|error| fold_error(view, event, format!("the row before it cannot be read: {error}")))
}

fn recorded_at(record: &RecordedEvent) -> prost_types::Timestamp {
    let (seconds, nanos) = record.recorded_at.seconds_and_nanos();
    prost_types::Timestamp { seconds, nanos }
}
