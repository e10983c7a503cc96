//! What a caller asks for, checked for form already.

use diptych_kernel::StreamId;

use super::{AccountId, Amount, Currency, Details, OverdraftLimit, OwnerId, Text};

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Opens an account with a balance of zero.
    OpenAccount(OpenAccount),
    /// Puts money from outside the ledger into an account.
    Deposit(Deposit),
    /// Takes money out of the ledger.
    Withdraw(Withdraw),
    /// Moves money between two accounts, both or neither.
    Transfer(Transfer),
    /// Stops all postings of an account.
    FreezeAccount(StatusChange),
    /// Allows postings again.
    UnfreezeAccount(StatusChange),
    /// Closes an account for ever.
    CloseAccount(StatusChange),
}

/// Opens an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenAccount {
    /// The new account.
    pub account_id: AccountId,
    /// Whose it is.
    pub owner_id: OwnerId,
    /// In what it is kept, for ever.
    pub currency: Currency,
    /// How far below zero its balance may go.
    pub overdraft_limit: OverdraftLimit,
}

/// Puts money into an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deposit {
    /// The account.
    pub account_id: AccountId,
    /// How much.
    pub amount: Amount,
    /// In what.
    pub currency: Currency,
    /// What to write on the statement.
    pub details: Details,
}

/// Takes money out of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withdraw {
    /// The account.
    pub account_id: AccountId,
    /// How much.
    pub amount: Amount,
    /// In what.
    pub currency: Currency,
    /// What to write on the statement.
    pub details: Details,
}

/// Moves money between two accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// The account that pays.
    pub from_account_id: AccountId,
    /// The account that receives.
    pub to_account_id: AccountId,
    /// How much.
    pub amount: Amount,
    /// In what.
    pub currency: Currency,
    /// What to write on both statements.
    pub details: Details,
}

/// Freezes, unfreezes or closes an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusChange {
    /// The account.
    pub account_id: AccountId,
    /// Why, in the caller's words.
    pub explanation: Text,
}

impl Command {
    /// The streams that it touches. A transfer from an account to itself, which the rules refuse, touches one.
    pub(crate) fn streams(&self) -> Vec<StreamId> {
        let account_id = match self {
            Self::OpenAccount(command) => &command.account_id,
            Self::Deposit(command) => &command.account_id,
            Self::Withdraw(command) => &command.account_id,
            Self::FreezeAccount(command) | Self::UnfreezeAccount(command) | Self::CloseAccount(command) => {
                &command.account_id
            }
            Self::Transfer(command) if command.from_account_id == command.to_account_id => &command.from_account_id,
            Self::Transfer(command) => {
                return vec![command.from_account_id.stream_id().clone(), command.to_account_id.stream_id().clone()];
            }
        };
        vec![account_id.stream_id().clone()]
    }
}
