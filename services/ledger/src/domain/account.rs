//! The state of an account, as far as decisions depend on it.

use super::{Currency, Event, OverdraftLimit};

/// The state of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Account {
    /// The account was never opened.
    #[default]
    Unopened,
    /// The account accepts postings.
    Open(Funds),
    /// The account accepts no postings until it is unfrozen.
    Frozen(Funds),
    /// The account is closed permanently, with a balance of zero.
    Closed,
}

/// Balance of an account, with its currency and overdraft limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Funds {
    /// The currency of the account.
    pub currency: Currency,
    /// The balance, in minor units. Negative when the account is overdrawn.
    pub balance_minor: i64,
    /// The overdraft limit: the balance may go down to minus this amount.
    pub overdraft_limit: OverdraftLimit,
}

impl Account {
    /// Applies an event. An event that is not possible in this state changes nothing.
    pub(crate) fn evolve(&mut self, event: &Event) {
        match (&mut *self, event) {
            (Self::Unopened, Event::AccountOpened(opened)) => {
                let currency = Currency::parse(&opened.currency_code);
                let overdraft_limit = OverdraftLimit::from_minor(opened.overdraft_limit_minor);
                // Both were validated when the event was decoded.
                if let (Ok(currency), Ok(overdraft_limit)) = (currency, overdraft_limit) {
                    *self = Self::Open(Funds { currency, balance_minor: 0, overdraft_limit });
                }
            }
            (Self::Open(funds), Event::AccountFrozen(_)) => *self = Self::Frozen(funds.clone()),
            (Self::Frozen(funds), Event::AccountUnfrozen(_)) => *self = Self::Open(funds.clone()),
            (Self::Open(_), Event::AccountClosed(_)) => *self = Self::Closed,
            (Self::Open(funds), posting) => {
                if let Some(balance_minor) = posting.balance_after_minor() {
                    funds.balance_minor = balance_minor;
                }
            }
            (Self::Unopened | Self::Frozen(_) | Self::Closed, _) => {}
        }
    }
}
