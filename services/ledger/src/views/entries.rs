//! The view of account entries (statements).

use bytes::Bytes;
use diptych_kernel::{
    RecordedEvent, Version,
    domain::{DecodedEvent, FoldError, RowKey, Scope, View, ViewId},
};
use diptych_proto::ledger::{
    event::v1::PostingDetails,
    query::v1::{Entry, EntryKind},
};
use prost::Message;

use super::fold::{account_id_of, fold_error, record_time};
use crate::domain::{AccountId, Event};

/// The id of the view of entries.
pub const ENTRIES: ViewId = ViewId { name: "entries", generation: 2 };

/// Number of versions of an account's stream per bucket. It bounds the rows of a bucket, however long the statement
/// grows.
pub const BUCKET_VERSIONS: u32 = 1_000;

/// The key of an entry in the statement of its account: newest first, in buckets of [`BUCKET_VERSIONS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryKey {
    version: Version,
}

impl EntryKey {
    /// The key of the entry that this version of the stream created.
    #[must_use]
    pub fn of(version: Version) -> Self {
        Self { version }
    }

    /// The number of its bucket. Bucket 0 has the oldest entries.
    #[must_use]
    pub fn bucket(self) -> u32 {
        self.version.number() / BUCKET_VERSIONS
    }

    /// The sort key of the row. Newer entries have smaller ones.
    #[must_use]
    pub fn sort_key(self) -> [u8; 4] {
        (u32::MAX - self.version.number()).to_be_bytes()
    }

    /// Decodes a sort key; `None` when the bytes are not one.
    #[must_use]
    pub fn from_sort_key(sort_key: &[u8]) -> Option<Self> {
        let number = u32::from_be_bytes(sort_key.try_into().ok()?);
        Some(Self { version: Version::new(u32::MAX - number) })
    }

    /// The version of the stream that created the entry.
    #[must_use]
    pub fn version(self) -> Version {
        self.version
    }

    /// The partition key of a bucket of an account. The first bucket, the only one of most accounts, has the name of
    /// the stream, like the row of the account, so that a store can write both at once. Account ids have no '/', so
    /// partition keys are unique.
    #[must_use]
    pub fn partition_key(account_id: &AccountId, bucket: u32) -> String {
        let stream_id = account_id.stream_id();
        if bucket == 0 { stream_id.as_str().to_owned() } else { format!("{stream_id}/{bucket}") }
    }
}

/// The view of account entries: a row is an `Entry`.
#[derive(Debug, Clone, Copy)]
pub struct Entries;

impl View<Event> for Entries {
    fn id(&self) -> ViewId {
        ENTRIES
    }

    fn scope(&self) -> Scope {
        Scope::Stream
    }

    /// The key contains the version of the event.
    fn has_one_event_per_row(&self) -> bool {
        true
    }

    /// Not cached: rows are read by scans.
    fn is_cached(&self) -> bool {
        false
    }

    fn key(&self, event: DecodedEvent<'_, Event>) -> Option<RowKey> {
        Posting::of(event.event)?;
        let account_id = account_id_of(event.record)?;
        let key = EntryKey::of(event.record.version);
        Some(RowKey::new(&EntryKey::partition_key(&account_id, key.bucket()), key.sort_key().to_vec()))
    }

    fn fold(&self, row: Option<&[u8]>, event: DecodedEvent<'_, Event>) -> Result<Option<Bytes>, FoldError> {
        if row.is_some() {
            return Err(fold_error(ENTRIES, event, "the entry already exists"));
        }
        let (Some(posting), Some(account_id)) = (Posting::of(event.event), account_id_of(event.record)) else {
            return Ok(None);
        };
        Ok(Some(posting.into_entry(&account_id, event.record).encode_to_vec().into()))
    }
}

/// The common fields of the four kinds of postings.
struct Posting<'a> {
    kind: EntryKind,
    /// Negative when the balance decreases.
    amount_minor: i64,
    balance_after_minor: i64,
    currency_code: &'a str,
    details: Option<&'a PostingDetails>,
    /// The other account of a transfer.
    other_account_id: Option<&'a str>,
}

impl<'a> Posting<'a> {
    fn of(event: &'a Event) -> Option<Self> {
        let posting = match event {
            Event::MoneyDeposited(event) => Self {
                kind: EntryKind::Deposit,
                amount_minor: event.amount_minor,
                balance_after_minor: event.balance_after_minor,
                currency_code: &event.currency_code,
                details: event.details.as_ref(),
                other_account_id: None,
            },
            Event::MoneyWithdrawn(event) => Self {
                kind: EntryKind::Withdrawal,
                amount_minor: event.amount_minor.saturating_neg(),
                balance_after_minor: event.balance_after_minor,
                currency_code: &event.currency_code,
                details: event.details.as_ref(),
                other_account_id: None,
            },
            Event::TransferSent(event) => Self {
                kind: EntryKind::TransferSent,
                amount_minor: event.amount_minor.saturating_neg(),
                balance_after_minor: event.balance_after_minor,
                currency_code: &event.currency_code,
                details: event.details.as_ref(),
                other_account_id: Some(&event.to_account_id),
            },
            Event::TransferReceived(event) => Self {
                kind: EntryKind::TransferReceived,
                amount_minor: event.amount_minor,
                balance_after_minor: event.balance_after_minor,
                currency_code: &event.currency_code,
                details: event.details.as_ref(),
                other_account_id: Some(&event.from_account_id),
            },
            Event::AccountOpened(_) | Event::AccountFrozen(_) | Event::AccountUnfrozen(_) | Event::AccountClosed(_) => {
                return None;
            }
        };
        Some(posting)
    }

    fn into_entry(self, account_id: &AccountId, record: &RecordedEvent) -> Entry {
        let details = self.details.cloned().unwrap_or_default();
        Entry {
            account_id: account_id.as_str().to_owned(),
            version: i64::from(record.version.number()),
            kind: self.kind.into(),
            amount_minor: self.amount_minor,
            balance_after_minor: self.balance_after_minor,
            currency_code: self.currency_code.to_owned(),
            value_date: details.value_date,
            reference: details.reference,
            purpose: details.purpose,
            counterparty: self.other_account_id.map_or(details.counterparty, str::to_owned),
            request_id: record.request_id.to_string(),
            record_time: Some(record_time(record)),
        }
    }
}
