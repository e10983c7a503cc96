//! Totals by currency.

use bytes::Bytes;
use diptych_kernel::{
    Partition,
    domain::{DecodedEvent, FoldError, RowKey, Scope, View, ViewId},
};
use diptych_proto::ledger::query::v1::Totals;
use prost::Message;

use super::{fold_error, read_row};
use crate::domain::{Currency, Event};

/// The table of totals.
pub const TOTALS: ViewId = ViewId { name: "totals", generation: 1 };

/// Where the totals of one partition are.
#[must_use]
pub fn totals_key(currency: Currency, partition: Partition) -> RowKey {
    key(currency.as_str(), partition)
}

fn key(currency_code: &str, partition: Partition) -> RowKey {
    RowKey::new(currency_code, partition.number().to_be_bytes().to_vec())
}

/// Totals by currency: a row is the `Totals` of the accounts of one partition, transfers with accounts elsewhere counted one-sidedly. In it,
/// `balance = deposits - withdrawals + transfers received - transfers sent`. [`merge_totals`] makes the answer of all rows.
#[derive(Debug, Clone, Copy)]
pub struct TotalsByCurrency;

impl View<Event> for TotalsByCurrency {
    fn id(&self) -> ViewId {
        TOTALS
    }

    fn scope(&self) -> Scope {
        Scope::Partition
    }

    fn key(&self, event: DecodedEvent<'_, Event>) -> Option<RowKey> {
        currency_code(event.event).map(|currency_code| key(currency_code, event.record.partition))
    }

    fn fold(&self, row: Option<&[u8]>, event: DecodedEvent<'_, Event>) -> Result<Option<Bytes>, FoldError> {
        let Some(currency_code) = currency_code(event.event) else { return Ok(row.map(Bytes::copy_from_slice)) };
        let wrong = |error: MergeTotalsError| fold_error(TOTALS, event, error.to_string());
        let mut sums = match row {
            Some(row) => Sums::read(&read_row::<Totals>(TOTALS, event, row)?).map_err(wrong)?,
            None => Sums::default(),
        };
        sums.count(event.event).map_err(wrong)?;
        Ok(Some(sums.to_totals(currency_code).encode_to_vec().into()))
    }
}

/// Rows of totals that cannot be summed up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeTotalsError {
    /// One is not an encoded `Totals`.
    #[error("the totals cannot be read: {0}")]
    Unreadable(String),
    /// A sum does not fit into 128 bits, or a count into 64.
    #[error("a sum does not fit")]
    Overflow,
}

/// The totals of a currency over all partitions.
///
/// The rows are not of one moment: of a transfer between partitions, one side may be seen and the other not yet. A transfer never changes
/// the sum of all balances, so that sum is taken as deposits minus withdrawals, which is what it is with every such transfer
/// finished. (That each row's own balance is right is what the audit checks, where nothing moves.)
///
/// # Errors
/// When a row cannot be read or a sum does not fit.
pub fn merge_totals<'a>(
    currency: Currency,
    rows: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Totals, MergeTotalsError> {
    let mut sums = Sums::default();
    for row in rows {
        let row = Totals::decode(row).map_err(|error| MergeTotalsError::Unreadable(error.to_string()))?;
        sums.add(&Sums::read(&row)?)?;
    }
    sums.balance = plus(sums.deposits, -sums.withdrawals)?;
    Ok(sums.to_totals(currency.as_str()))
}

/// The currency that an event counts for. Freezing and unfreezing count for none.
fn currency_code(event: &Event) -> Option<&str> {
    match event {
        Event::AccountOpened(event) => Some(&event.currency_code),
        Event::MoneyDeposited(event) => Some(&event.currency_code),
        Event::MoneyWithdrawn(event) => Some(&event.currency_code),
        Event::TransferSent(event) => Some(&event.currency_code),
        Event::TransferReceived(event) => Some(&event.currency_code),
        Event::AccountClosed(event) => Some(&event.currency_code),
        Event::AccountFrozen(_) | Event::AccountUnfrozen(_) => None,
    }
}

/// Totals as numbers.
#[derive(Default)]
struct Sums {
    balance: i128,
    deposits: i128,
    withdrawals: i128,
    transfers: i128,
    accounts_opened: i64,
    accounts_closed: i64,
    entries: i64,
}

impl Sums {
    fn read(totals: &Totals) -> Result<Self, MergeTotalsError> {
        Ok(Self {
            balance: number(&totals.balance_minor)?,
            deposits: number(&totals.deposits_minor)?,
            withdrawals: number(&totals.withdrawals_minor)?,
            transfers: number(&totals.transfers_minor)?,
            accounts_opened: totals.accounts_opened_count,
            accounts_closed: totals.accounts_closed_count,
            entries: totals.entry_count,
        })
    }

    fn to_totals(&self, currency_code: &str) -> Totals {
        Totals {
            currency_code: currency_code.to_owned(),
            balance_minor: self.balance.to_string(),
            deposits_minor: self.deposits.to_string(),
            withdrawals_minor: self.withdrawals.to_string(),
            transfers_minor: self.transfers.to_string(),
            accounts_opened_count: self.accounts_opened,
            accounts_closed_count: self.accounts_closed,
            entry_count: self.entries,
        }
    }

    fn count(&mut self, event: &Event) -> Result<(), MergeTotalsError> {
        match event {
            Event::AccountOpened(_) => self.accounts_opened = one_more(self.accounts_opened)?,
            Event::AccountClosed(_) => self.accounts_closed = one_more(self.accounts_closed)?,
            Event::MoneyDeposited(event) => {
                let amount = i128::from(event.amount_minor);
                self.deposits = plus(self.deposits, amount)?;
                self.post(amount)?;
            }
            Event::MoneyWithdrawn(event) => {
                let amount = i128::from(event.amount_minor);
                self.withdrawals = plus(self.withdrawals, amount)?;
                self.post(-amount)?;
            }
            Event::TransferSent(event) => self.post(-i128::from(event.amount_minor))?,
            Event::TransferReceived(event) => {
                let amount = i128::from(event.amount_minor);
                self.transfers = plus(self.transfers, amount)?;
                self.post(amount)?;
            }
            Event::AccountFrozen(_) | Event::AccountUnfrozen(_) => {}
        }
        Ok(())
    }

    fn post(&mut self, amount: i128) -> Result<(), MergeTotalsError> {
        self.balance = plus(self.balance, amount)?;
        self.entries = one_more(self.entries)?;
        Ok(())
    }

    fn add(&mut self, other: &Self) -> Result<(), MergeTotalsError> {
        self.balance = plus(self.balance, other.balance)?;
        self.deposits = plus(self.deposits, other.deposits)?;
        self.withdrawals = plus(self.withdrawals, other.withdrawals)?;
        self.transfers = plus(self.transfers, other.transfers)?;
        let count = |one: i64, more: i64| one.checked_add(more).ok_or(MergeTotalsError::Overflow);
        self.accounts_opened = count(self.accounts_opened, other.accounts_opened)?;
        self.accounts_closed = count(self.accounts_closed, other.accounts_closed)?;
        self.entries = count(self.entries, other.entries)?;
        Ok(())
    }
}

fn number(text: &str) -> Result<i128, MergeTotalsError> {
    text.parse().map_err(|_| MergeTotalsError::Unreadable(format!("{text:?} is not a number")))
}

fn plus(sum: i128, amount: i128) -> Result<i128, MergeTotalsError> {
    sum.checked_add(amount).ok_or(MergeTotalsError::Overflow)
}

fn one_more(count: i64) -> Result<i64, MergeTotalsError> {
    count.checked_add(1).ok_or(MergeTotalsError::Overflow)
}
