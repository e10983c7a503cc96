//! Why a rule says no.

use super::{AccountId, Amount, Currency, OverdraftLimit};

/// Why a rule says no. One per reason of `ledger.command.v1.ErrorReason`, with what its metadata names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It was never opened.
    #[error("there is no account {account_id}")]
    AccountNotFound {
        /// The account.
        account_id: AccountId,
    },
    /// It was opened before, and may be closed by now.
    #[error("account {account_id} was opened before")]
    AccountExists {
        /// The account.
        account_id: AccountId,
    },
    /// It is frozen.
    #[error("account {account_id} is frozen")]
    AccountFrozen {
        /// The account.
        account_id: AccountId,
    },
    /// It is not frozen.
    #[error("account {account_id} is not frozen")]
    AccountNotFrozen {
        /// The account.
        account_id: AccountId,
    },
    /// It is closed.
    #[error("account {account_id} is closed")]
    AccountClosed {
        /// The account.
        account_id: AccountId,
    },
    /// The amount is in another currency than the account.
    #[error("account {account_id} is kept in {account_currency}, not in {currency}")]
    CurrencyMismatch {
        /// The account.
        account_id: AccountId,
        /// What the account is kept in.
        account_currency: Currency,
        /// What the amount is in.
        currency: Currency,
    },
    /// The balance would go below the overdraft limit.
    #[error("account {account_id} holds too little for this amount")]
    InsufficientFunds {
        /// The account.
        account_id: AccountId,
        /// What was asked for.
        amount: Amount,
        /// What there is, in minor units.
        balance_minor: i64,
        /// How far below zero it may go.
        overdraft_limit: OverdraftLimit,
    },
    /// Both sides of a transfer are the same account.
    #[error("account {account_id} is on both sides of the transfer")]
    SameAccount {
        /// The account.
        account_id: AccountId,
    },
    /// The balance would no longer fit into 64 bits.
    #[error("the balance of account {account_id} would be larger than the ledger can hold")]
    BalanceOverflow {
        /// The account.
        account_id: AccountId,
        /// What was to be added.
        amount: Amount,
        /// What there is, in minor units.
        balance_minor: i64,
    },
    /// The account still holds money, or owes some.
    #[error("the balance of account {account_id} is not zero")]
    BalanceNotZero {
        /// The account.
        account_id: AccountId,
        /// What there is, in minor units.
        balance_minor: i64,
    },
}
