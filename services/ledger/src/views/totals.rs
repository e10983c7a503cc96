//! The view of totals by currency.

use bytes::Bytes;
use diptych_kernel::{
    Partition,
    domain::{DecodedEvent, FoldError, RowKey, Scope, View, ViewId},
};
use diptych_proto::ledger::query::v1::Totals;
use prost::Message;

use super::fold::{decode_row, fold_error};
use crate::domain::{Currency, Event};

/// The id of the view of totals.
pub const TOTALS: ViewId = ViewId { name: "totals", generation: 1 };

/// The key of the totals of one currency in one partition.
#[must_use]
pub fn totals_key(currency: Currency, partition: Partition) -> RowKey {
    key(currency.as_str(), partition)
}

fn key(currency_code: &str, partition: Partition) -> RowKey {
    RowKey::new(currency_code, partition.number().to_be_bytes().to_vec())
}

/// The view of totals by currency: a row is the `Totals` of the accounts of one partition. Of a transfer to or from
/// another partition it counts only its own side: `balance = deposits - withdrawals + transfers received - transfers
/// sent`. [`merge_totals`] combines the rows.
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
        let to_fold_error = |error: MergeTotalsError| fold_error(TOTALS, event, error.to_string());
        let mut sums = match row {
            Some(row) => Sums::parse(&decode_row::<Totals>(TOTALS, event, row)?).map_err(to_fold_error)?,
            None => Sums::default(),
        };
        sums.add_event(event.event).map_err(to_fold_error)?;
        Ok(Some(sums.to_totals(currency_code).encode_to_vec().into()))
    }
}

/// Error for rows of totals that cannot be merged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeTotalsError {
    /// A row is not an encoded `Totals`.
    #[error("a row of totals cannot be decoded: {0}")]
    Malformed(String),
    /// A sum exceeds 128 bits, or a count exceeds 64 bits.
    #[error("a sum of totals overflows")]
    Overflow,
}

/// Merges the totals of a currency over all partitions.
///
/// The rows are not from the same moment: of a transfer between partitions, one side may be included and the other not
/// yet. A transfer does not change the sum of all balances, so the balance is computed as deposits minus withdrawals,
/// which is the sum once every such transfer is complete. (The audit, which runs while no command does, checks the
/// balance of each row.)
///
/// # Errors
/// When a row cannot be decoded or a sum overflows.
pub fn merge_totals<'a>(
    currency: Currency,
    rows: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Totals, MergeTotalsError> {
    let mut sums = Sums::default();
    for row in rows {
        let row = Totals::decode(row).map_err(|error| MergeTotalsError::Malformed(error.to_string()))?;
        sums.add(&Sums::parse(&row)?)?;
    }
    sums.balance = checked_sum(sums.deposits, -sums.withdrawals)?;
    Ok(sums.to_totals(currency.as_str()))
}

/// The currency whose totals an event changes; `None` for freezing and unfreezing.
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

/// Totals, parsed.
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
    fn parse(totals: &Totals) -> Result<Self, MergeTotalsError> {
        Ok(Self {
            balance: parse_sum(&totals.balance_minor)?,
            deposits: parse_sum(&totals.deposits_minor)?,
            withdrawals: parse_sum(&totals.withdrawals_minor)?,
            transfers: parse_sum(&totals.transfers_minor)?,
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

    fn add_event(&mut self, event: &Event) -> Result<(), MergeTotalsError> {
        match event {
            Event::AccountOpened(_) => self.accounts_opened = incremented(self.accounts_opened)?,
            Event::AccountClosed(_) => self.accounts_closed = incremented(self.accounts_closed)?,
            Event::MoneyDeposited(event) => {
                let amount = i128::from(event.amount_minor);
                self.deposits = checked_sum(self.deposits, amount)?;
                self.post(amount)?;
            }
            Event::MoneyWithdrawn(event) => {
                let amount = i128::from(event.amount_minor);
                self.withdrawals = checked_sum(self.withdrawals, amount)?;
                self.post(-amount)?;
            }
            Event::TransferSent(event) => self.post(-i128::from(event.amount_minor))?,
            Event::TransferReceived(event) => {
                let amount = i128::from(event.amount_minor);
                self.transfers = checked_sum(self.transfers, amount)?;
                self.post(amount)?;
            }
            Event::AccountFrozen(_) | Event::AccountUnfrozen(_) => {}
        }
        Ok(())
    }

    fn post(&mut self, amount: i128) -> Result<(), MergeTotalsError> {
        self.balance = checked_sum(self.balance, amount)?;
        self.entries = incremented(self.entries)?;
        Ok(())
    }

    fn add(&mut self, other: &Self) -> Result<(), MergeTotalsError> {
        self.balance = checked_sum(self.balance, other.balance)?;
        self.deposits = checked_sum(self.deposits, other.deposits)?;
        self.withdrawals = checked_sum(self.withdrawals, other.withdrawals)?;
        self.transfers = checked_sum(self.transfers, other.transfers)?;
        let count = |one: i64, more: i64| one.checked_add(more).ok_or(MergeTotalsError::Overflow);
        self.accounts_opened = count(self.accounts_opened, other.accounts_opened)?;
        self.accounts_closed = count(self.accounts_closed, other.accounts_closed)?;
        self.entries = count(self.entries, other.entries)?;
        Ok(())
    }
}

fn parse_sum(text: &str) -> Result<i128, MergeTotalsError> {
    text.parse().map_err(|_| MergeTotalsError::Malformed(format!("{text:?} is not a number")))
}

fn checked_sum(sum: i128, amount: i128) -> Result<i128, MergeTotalsError> {
    sum.checked_add(amount).ok_or(MergeTotalsError::Overflow)
}

fn incremented(count: i64) -> Result<i64, MergeTotalsError> {
    count.checked_add(1).ok_or(MergeTotalsError::Overflow)
}
