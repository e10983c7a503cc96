//! What decisions about an account need to know.

use super::{Currency, Event, OverdraftLimit};

/// The state of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Account {
    /// It was never opened.
    #[default]
    Unopened,
    /// Postings are allowed.
    Open(Funds),
    /// No postings until it is unfrozen.
    Frozen(Funds),
    /// Closed for ever, with a balance of zero.
    Closed,
}

/// What an account holds, and on what read_options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Funds {
    /// In what.
    pub currency: Currency,
    /// How much, in minor units; below zero where it is overdrawn.
    pub balance_minor: i64,
    /// How far below zero it may go.
    pub overdraft_limit: OverdraftLimit,
}

impl Account {
    /// Folds an event. One that does not fit changes nothing.
    pub(crate) fn evolve(&mut self, event: &Event) {
        match (&mut *self, event) {
            (Self::Unopened, Event::AccountOpened(opened)) => {
                let currency = Currency::parse(&opened.currency_code);
                let overdraft_limit = OverdraftLimit::from_minor(opened.overdraft_limit_minor);
                // Decoding has checked both.
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
