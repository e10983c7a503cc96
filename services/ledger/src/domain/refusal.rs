//! Refusals of commands by the rules.

use super::{AccountId, Amount, Currency, OverdraftLimit};

/// Refusal of a command by a rule: one variant per reason of `ledger.command.v1.ErrorReason`, with the values of its
/// metadata.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The account was never opened.
    #[error("there is no account {account_id}: check the id, or open it first")]
    AccountNotFound {
        /// The account.
        account_id: AccountId,
    },
    /// An account with this id was opened before. It may be closed.
    #[error("account {account_id} already exists: choose another id")]
    AccountExists {
        /// The account.
        account_id: AccountId,
    },
    /// The account is frozen.
    #[error("account {account_id} is frozen: unfreeze it first")]
    AccountFrozen {
        /// The account.
        account_id: AccountId,
    },
    /// The account is not frozen.
    #[error("account {account_id} is not frozen")]
    AccountNotFrozen {
        /// The account.
        account_id: AccountId,
    },
    /// The account is closed.
    #[error("account {account_id} is closed permanently: use another account")]
    AccountClosed {
        /// The account.
        account_id: AccountId,
    },
    /// The currency of the amount is not that of the account.
    #[error("the currency of account {account_id} is {account_currency}, not {currency}")]
    CurrencyMismatch {
        /// The account.
        account_id: AccountId,
        /// The currency of the account.
        account_currency: Currency,
        /// The currency of the amount.
        currency: Currency,
    },
    /// The balance would go below the overdraft limit.
    #[error(
        "insufficient funds in account {account_id}: the amount is {}, the balance {balance_minor}, \
         and the overdraft limit {} (minor units)",
        amount.minor(),
        overdraft_limit.minor()
    )]
    InsufficientFunds {
        /// The account.
        account_id: AccountId,
        /// The amount of the command.
        amount: Amount,
        /// The balance, in minor units.
        balance_minor: i64,
        /// The overdraft limit: the balance may go down to minus this amount.
        overdraft_limit: OverdraftLimit,
    },
    /// The paying and the receiving account of a transfer are the same.
    #[error("account {account_id} is both the paying and the receiving account of the transfer")]
    SameAccount {
        /// The account.
        account_id: AccountId,
    },
    /// The balance would not fit into 64 bits.
    #[error("the balance of account {account_id} would exceed the maximum of 2^63 - 1 minor units")]
    BalanceOverflow {
        /// The account.
        account_id: AccountId,
        /// The amount to add.
        amount: Amount,
        /// The balance, in minor units.
        balance_minor: i64,
    },
    /// The account is to be closed and its balance is not zero.
    #[error("the balance of account {account_id} is {balance_minor} minor units: bring it to zero before closing")]
    BalanceNotZero {
        /// The account.
        account_id: AccountId,
        /// The balance, in minor units.
        balance_minor: i64,
    },
}
