//! A reference model of the ledger: an independent implementation of the rules, with 128-bit numbers.

use std::collections::BTreeMap;

use diptych_ledger::domain::{Amount, Command, Currency, Refusal};
use diptych_proto::ledger::query::v1::{AccountStatus, EntryKind};

/// An account of the model.
#[derive(Clone, Debug)]
pub(crate) struct ModelAccount {
    pub(crate) owner: String,
    pub(crate) currency: Currency,
    pub(crate) limit: i128,
    pub(crate) balance: i128,
    pub(crate) status: AccountStatus,
    /// Number of events so far.
    pub(crate) version: u32,
    /// Kind, signed amount, balance after, other account, version; oldest first.
    pub(crate) lines: Vec<(EntryKind, i128, i128, String, u32)>,
}

/// All accounts, and sums that are computed independently of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct LedgerModel {
    pub(crate) accounts: BTreeMap<String, ModelAccount>,
    pub(crate) deposits: BTreeMap<Currency, i128>,
    pub(crate) withdrawals: BTreeMap<Currency, i128>,
    pub(crate) transfers: BTreeMap<Currency, i128>,
}

/// A refusal without its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefusalKind {
    NotFound,
    Exists,
    Frozen,
    NotFrozen,
    Closed,
    Currency,
    Funds,
    Same,
    Overflow,
    NotZero,
}

impl From<&Refusal> for RefusalKind {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::AccountNotFound { .. } => Self::NotFound,
            Refusal::AccountExists { .. } => Self::Exists,
            Refusal::AccountFrozen { .. } => Self::Frozen,
            Refusal::AccountNotFrozen { .. } => Self::NotFrozen,
            Refusal::AccountClosed { .. } => Self::Closed,
            Refusal::CurrencyMismatch { .. } => Self::Currency,
            Refusal::InsufficientFunds { .. } => Self::Funds,
            Refusal::SameAccount { .. } => Self::Same,
            Refusal::BalanceOverflow { .. } => Self::Overflow,
            Refusal::BalanceNotZero { .. } => Self::NotZero,
        }
    }
}

impl LedgerModel {
    /// Applies a command, or returns why it is refused and changes nothing.
    pub(crate) fn apply(&mut self, command: &Command) -> Result<(), RefusalKind> {
        match command {
            Command::OpenAccount(open) => {
                let id = open.account_id.to_string();
                if self.accounts.contains_key(&id) {
                    return Err(RefusalKind::Exists);
                }
                let account = ModelAccount {
                    owner: open.owner_id.to_string(),
                    currency: open.currency,
                    limit: open.overdraft_limit.minor().into(),
                    balance: 0,
                    status: AccountStatus::Open,
                    version: 1,
                    lines: Vec::new(),
                };
                self.accounts.insert(id, account);
            }
            Command::Deposit(deposit) => {
                let (id, value) = (deposit.account_id.as_str(), value(deposit.amount));
                self.check_credit(id, deposit.currency, value)?;
                *self.deposits.entry(deposit.currency).or_default() += value;
                self.post(id, EntryKind::Deposit, value, "");
            }
            Command::Withdraw(withdraw) => {
                let (id, value) = (withdraw.account_id.as_str(), value(withdraw.amount));
                self.check_debit(id, withdraw.currency, value)?;
                *self.withdrawals.entry(withdraw.currency).or_default() += value;
                self.post(id, EntryKind::Withdrawal, -value, "");
            }
            Command::Transfer(transfer) => {
                let (from, to) = (transfer.from_account_id.as_str(), transfer.to_account_id.as_str());
                if from == to {
                    return Err(RefusalKind::Same);
                }
                self.open_in(from, transfer.currency)?;
                self.open_in(to, transfer.currency)?;
                let value = value(transfer.amount);
                self.check_debit(from, transfer.currency, value)?;
                self.check_credit(to, transfer.currency, value)?;
                *self.transfers.entry(transfer.currency).or_default() += value;
                self.post(from, EntryKind::TransferSent, -value, to);
                self.post(to, EntryKind::TransferReceived, value, from);
            }
            Command::FreezeAccount(change) => self.set_status(change.account_id.as_str(), AccountStatus::Frozen)?,
            Command::UnfreezeAccount(change) => {
                let account = self.accounts.get_mut(change.account_id.as_str()).ok_or(RefusalKind::NotFound)?;
                match account.status {
                    AccountStatus::Closed => return Err(RefusalKind::Closed),
                    AccountStatus::Frozen => account.status = AccountStatus::Open,
                    _ => return Err(RefusalKind::NotFrozen),
                }
                account.version += 1;
            }
            Command::CloseAccount(change) => {
                let id = change.account_id.as_str();
                if self.open(id)?.balance != 0 {
                    return Err(RefusalKind::NotZero);
                }
                self.set_status(id, AccountStatus::Closed)?;
            }
        }
        Ok(())
    }

    fn open(&self, id: &str) -> Result<&ModelAccount, RefusalKind> {
        let account = self.accounts.get(id).ok_or(RefusalKind::NotFound)?;
        match account.status {
            AccountStatus::Frozen => Err(RefusalKind::Frozen),
            AccountStatus::Closed => Err(RefusalKind::Closed),
            _ => Ok(account),
        }
    }

    fn open_in(&self, id: &str, currency: Currency) -> Result<&ModelAccount, RefusalKind> {
        let account = self.open(id)?;
        if account.currency == currency { Ok(account) } else { Err(RefusalKind::Currency) }
    }

    fn check_credit(&self, id: &str, currency: Currency, value: i128) -> Result<(), RefusalKind> {
        let account = self.open_in(id, currency)?;
        if account.balance + value > i128::from(i64::MAX) { Err(RefusalKind::Overflow) } else { Ok(()) }
    }

    fn check_debit(&self, id: &str, currency: Currency, value: i128) -> Result<(), RefusalKind> {
        let account = self.open_in(id, currency)?;
        if account.balance + account.limit < value { Err(RefusalKind::Funds) } else { Ok(()) }
    }

    fn post(&mut self, id: &str, kind: EntryKind, value: i128, other: &str) {
        let account = self.accounts.get_mut(id).unwrap();
        account.balance += value;
        account.version += 1;
        account.lines.push((kind, value, account.balance, other.to_owned(), account.version));
    }

    fn set_status(&mut self, id: &str, status: AccountStatus) -> Result<(), RefusalKind> {
        self.open(id)?;
        let account = self.accounts.get_mut(id).unwrap();
        account.status = status;
        account.version += 1;
        Ok(())
    }
}

fn value(amount: Amount) -> i128 {
    amount.minor().into()
}
