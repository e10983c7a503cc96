//! Commands, with validated fields.

use diptych_kernel::StreamId;

use super::{AccountId, Amount, Currency, Details, OverdraftLimit, OwnerId, Text};

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Opens an account with a balance of zero.
    OpenAccount(OpenAccount),
    /// Deposits money from outside the ledger.
    Deposit(Deposit),
    /// Withdraws money out of the ledger.
    Withdraw(Withdraw),
    /// Moves money between two accounts, atomically.
    Transfer(Transfer),
    /// Freezes an account: it accepts no postings until it is unfrozen.
    FreezeAccount(StatusChange),
    /// Unfreezes an account: it accepts postings again.
    UnfreezeAccount(StatusChange),
    /// Closes an account permanently.
    CloseAccount(StatusChange),
}

/// Opens an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenAccount {
    /// The id of the new account.
    pub account_id: AccountId,
    /// The owner of the account.
    pub owner_id: OwnerId,
    /// The currency of the account. It never changes.
    pub currency: Currency,
    /// The overdraft limit: the balance may go down to minus this amount.
    pub overdraft_limit: OverdraftLimit,
}

/// Deposits money into an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deposit {
    /// The account.
    pub account_id: AccountId,
    /// The amount.
    pub amount: Amount,
    /// The currency of the amount.
    pub currency: Currency,
    /// Information for the statement.
    pub details: Details,
}

/// Withdraws money from an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withdraw {
    /// The account.
    pub account_id: AccountId,
    /// The amount.
    pub amount: Amount,
    /// The currency of the amount.
    pub currency: Currency,
    /// Information for the statement.
    pub details: Details,
}

/// Moves money between two accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// The paying account.
    pub from_account_id: AccountId,
    /// The receiving account.
    pub to_account_id: AccountId,
    /// The amount.
    pub amount: Amount,
    /// The currency of the amount.
    pub currency: Currency,
    /// Information for both statements.
    pub details: Details,
}

/// Freezes, unfreezes or closes an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusChange {
    /// The account.
    pub account_id: AccountId,
    /// The reason for the change, from the client.
    pub explanation: Text,
}

impl Command {
    /// The streams that the command reads and writes. A transfer from an account to itself, which the rules refuse, has
    /// one.
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
