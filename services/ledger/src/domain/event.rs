//! Events of the ledger.

use diptych_proto::ledger::event::v1;

/// An event of an account, as stored.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// An account was opened: the first event of its stream.
    AccountOpened(v1::AccountOpened),
    /// Money was deposited from outside the ledger.
    MoneyDeposited(v1::MoneyDeposited),
    /// Money was withdrawn from the ledger.
    MoneyWithdrawn(v1::MoneyWithdrawn),
    /// Money was sent to another account.
    TransferSent(v1::TransferSent),
    /// Money was received from another account.
    TransferReceived(v1::TransferReceived),
    /// The account was frozen.
    AccountFrozen(v1::AccountFrozen),
    /// The account was unfrozen.
    AccountUnfrozen(v1::AccountUnfrozen),
    /// The account was closed: the last event of its stream.
    AccountClosed(v1::AccountClosed),
}

impl Event {
    /// The balance of the account after the event, in minor units; `None` when the event is not a posting.
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
