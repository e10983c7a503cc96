//! What happened.

use diptych_proto::ledger::event::v1;

/// A fact of the ledger, as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// An account was opened: the first event of its stream.
    AccountOpened(v1::AccountOpened),
    /// Money came in from outside the ledger.
    MoneyDeposited(v1::MoneyDeposited),
    /// Money went out of the ledger.
    MoneyWithdrawn(v1::MoneyWithdrawn),
    /// Money went to another account.
    TransferSent(v1::TransferSent),
    /// Money came from another account.
    TransferReceived(v1::TransferReceived),
    /// Postings were stopped.
    AccountFrozen(v1::AccountFrozen),
    /// Postings were allowed again.
    AccountUnfrozen(v1::AccountUnfrozen),
    /// The account was closed: the last event of its stream.
    AccountClosed(v1::AccountClosed),
}

impl Event {
    /// The balance of the account after the event, in minor units, where the event is a posting.
    pub(crate) fn balance_after_minor(&self) -> Option<i64> {
        match self {
            Self::MoneyDeposited(event) => Some(event.balance_after_minor),
            Self::MoneyWithdrawn(event) => Some(event.balance_after_minor),
            Self::TransferSent(event) => Some(event.balance_after_minor),
            Self::TransferReceived(event) => Some(event.balance_after_minor),
            Self::AccountOpened(_) | Self::AccountFrozen(_) | Self::AccountUnfrozen(_) | Self::AccountClosed(_) => None,
        }
    }
}
