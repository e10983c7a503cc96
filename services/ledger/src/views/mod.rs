//! The views (read tables) of the ledger, as folds over events. Rows are encoded messages of `ledger.query.v1`.
//!
//! | view | row | key |
//! |---|---|---|
//! | [`ACCOUNTS`] | `Account` | account id |
//! | [`ENTRIES`] | `Entry` | account id and a bucket of 1,000 versions, newest first |
//! | [`ACCOUNTS_BY_OWNER`] | `Account` with only its ids | owner id, in the order of account ids |
//! | [`TOTALS`] | `Totals` of one partition | currency, then partition |

mod accounts;
mod accounts_by_owner;
mod entries;
mod fold;
mod totals;

use diptych_kernel::domain::View;

use crate::domain::Event;

pub use accounts::{ACCOUNTS, Accounts, account_key};
pub use accounts_by_owner::{ACCOUNTS_BY_OWNER, AccountsByOwner};
pub use entries::{BUCKET_VERSIONS, ENTRIES, Entries, EntryKey};
pub use totals::{MergeTotalsError, TOTALS, TotalsByCurrency, merge_totals, totals_key};

/// All views of the ledger.
#[must_use]
pub fn all() -> Vec<Box<dyn View<Event>>> {
    vec![Box::new(Accounts), Box::new(Entries), Box::new(AccountsByOwner), Box::new(TotalsByCurrency)]
}
