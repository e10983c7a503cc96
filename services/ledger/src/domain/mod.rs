//! Business rules: which commands an account accepts, and which events they produce. Pure functions over validated
//! types.

mod account;
mod amount;
pub(crate) mod codec;
mod command;
mod currency;
pub(crate) mod decide;
mod details;
mod event;
mod id;
mod refusal;
pub(crate) mod refusal_codec;
mod value_error;

pub use account::{Account, Funds};
pub use amount::{Amount, OverdraftLimit};
pub use command::{Command, Deposit, OpenAccount, StatusChange, Transfer, Withdraw};
pub use currency::Currency;
pub use details::{Details, Text, ValueDate};
pub use event::Event;
pub use id::{AccountId, OwnerId};
pub use refusal::Refusal;
pub use value_error::ValueError;
