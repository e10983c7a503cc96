//! Refreshes: compare-and-set of newer rows.

use std::collections::HashMap;

use bytes::Bytes;
use diptych_kernel::{Position, ports::CachedRow};

use super::{invalidate::invalidate, settings::ItemSettings};
use crate::{
    connection::{CacheCommand, CallError, CasToken, Connection, Reply},
    key::Key,
    metrics::CacheMetrics,
    value,
};

/// The number of rows that share round trips. Reads of the same process are served between two chunks.
const CHUNK_ROWS_MAX: usize = 512;

/// The number of attempts for a row that others keep changing, before its key is invalidated instead.
const ATTEMPTS_MAX: usize = 8;

/// A row to be stored in the cache.
pub(super) struct RowRefresh {
    key: Key,
    /// The position and `current_up_to`, by which rows of a key are compared: the larger is the newer one.
    freshness: (Position, Position),
    /// `None` where the row is too large.
    value: Option<Bytes>,
}

/// The next step of a refresh, depending on the cached item.
#[derive(Debug, PartialEq, Eq)]
enum RefreshStep {
    /// Leaves the key as it is.
    Skip,
    /// Replaces exactly this item.
    Replace(CasToken),
    /// Invalidates the key.
    Invalidate,
}

impl RowRefresh {
    pub(super) fn new(key: Key, row: &CachedRow, value: Option<Bytes>) -> Self {
        Self { key, freshness: freshness(row), value }
    }

    fn next_step(&self, cached: &Reply, metrics: &CacheMetrics) -> RefreshStep {
        match cached {
            // A reader that misses the key from now on reads the read database, where this row is stored already.
            Reply::Absent => RefreshStep::Skip,
            Reply::PlaceholderCreated(cas) | Reply::PlaceholderPresent(cas) => RefreshStep::Replace(*cas),
            Reply::Value { cas, value, .. } => match value::decode(value) {
                Some(_) if Some(value) == self.value.as_ref() => RefreshStep::Skip,
                Some(row) if freshness(&row) > self.freshness => RefreshStep::Skip,
                Some(_) => RefreshStep::Replace(*cas),
                None => {
                    metrics.undecodable.increment(1);
                    RefreshStep::Replace(*cas)
                }
            },
            Reply::Refused | Reply::Done | Reply::Conflict => RefreshStep::Invalidate,
        }
    }
}

fn freshness(row: &CachedRow) -> (Position, Position) {
    (row.position, row.current_up_to)
}

/// The newest row of each key.
pub(super) fn newest(rows: Vec<(Key, &CachedRow)>) -> HashMap<Key, &CachedRow> {
    let mut newest: HashMap<Key, &CachedRow> = HashMap::with_capacity(rows.len());
    for (key, row) in rows {
        let kept = newest.entry(key).or_insert(row);
        if freshness(row) >= freshness(kept) {
            *kept = row;
        }
    }
    newest
}

/// Refreshes rows of one connection.
pub(super) async fn refresh(
    connection: &Connection,
    rows: Vec<RowRefresh>,
    settings: ItemSettings,
    metrics: &CacheMetrics,
) -> Result<(), CallError> {
    // Guards all rows first, as a failure leaves the remaining chunks untried.
    let guards: Vec<_> =
        rows.chunks(CHUNK_ROWS_MAX).map(|rows| connection.guard(rows.iter().map(|row| row.key.clone()))).collect();
    let mut rows = rows.into_iter();
    for guard in guards {
        let chunk = rows.by_ref().take(CHUNK_ROWS_MAX).collect();
        refresh_chunk(connection, chunk, settings, metrics).await?;
        guard.disarm();
    }
    Ok(())
}

async fn refresh_chunk(
    connection: &Connection,
    rows: Vec<RowRefresh>,
    settings: ItemSettings,
    metrics: &CacheMetrics,
) -> Result<(), CallError> {
    let (mut open, oversized): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.value.is_some());
    let mut to_invalidate: Vec<Key> = oversized.into_iter().map(|row| row.key).collect();
    for _ in 0..ATTEMPTS_MAX {
        if open.is_empty() {
            break;
        }
        open = try_once(connection, open, &mut to_invalidate, settings, metrics).await?;
    }
    metrics.contended.increment(u64::try_from(open.len()).unwrap_or(u64::MAX));
    to_invalidate.extend(open.into_iter().map(|row| row.key));
    if to_invalidate.is_empty() { Ok(()) } else { invalidate(connection, to_invalidate).await }
}

/// Reads the items and replaces older ones. Returns the rows whose key was changed by another client in between.
async fn try_once(
    connection: &Connection,
    rows: Vec<RowRefresh>,
    to_invalidate: &mut Vec<Key>,
    settings: ItemSettings,
    metrics: &CacheMetrics,
) -> Result<Vec<RowRefresh>, CallError> {
    let vivify_ttl_s = settings.refresh_puts_absent.then_some(settings.lease_ttl_s);
    let gets = rows.iter().map(|row| CacheCommand::Get { key: row.key.clone(), vivify_ttl_s });
    let cached = connection.execute(gets.collect()).await?;
    let (mut replaced, mut sets) = (Vec::new(), Vec::new());
    for (row, cached) in rows.into_iter().zip(cached) {
        match (row.next_step(&cached, metrics), &row.value) {
            (RefreshStep::Skip, _) => {}
            (RefreshStep::Replace(cas), Some(value)) => {
                let (key, value) = (row.key.clone(), value.clone());
                sets.push(CacheCommand::CompareAndSet { key, cas, value, ttl_s: settings.ttl_s });
                replaced.push(row);
            }
            (RefreshStep::Replace(_) | RefreshStep::Invalidate, _) => to_invalidate.push(row.key),
        }
    }
    let replies = connection.execute(sets).await?;
    let mut conflicts = Vec::new();
    for (row, reply) in replaced.into_iter().zip(replies) {
        match reply {
            Reply::Conflict => conflicts.push(row),
            Reply::Refused => to_invalidate.push(row.key),
            // Done, or deleted in between: see `Reply::Absent` in `next_step`.
            _ => {}
        }
    }
    Ok(conflicts)
}

#[cfg(test)]
mod tests {
    use diptych_kernel::{Timestamp, ports::FillLease};

    use super::*;

    fn row(position: i64, current_up_to: i64) -> CachedRow {
        CachedRow {
            position: Position::from_i64(position).unwrap(),
            current_up_to: Position::from_i64(current_up_to).unwrap(),
            as_of: Timestamp::from_micros(current_up_to),
            body: Some(Bytes::from(format!("at {position}"))),
        }
    }

    fn step(cached: &Reply) -> RefreshStep {
        let row = row(5, 8);
        RowRefresh::new(Key::from(*b"k"), &row, Some(value::encode(&row))).next_step(cached, &CacheMetrics::new())
    }

    #[test]
    fn only_an_item_that_is_not_newer_is_replaced() {
        let cas = CasToken::from(FillLease(7));
        let value = |row: &CachedRow| Reply::Value { cas, value: value::encode(row), may_be_stale: false };
        for (position, current_up_to) in [(4, 9), (5, 7), (1, 1)] {
            assert_eq!(
                step(&value(&row(position, current_up_to))),
                RefreshStep::Replace(cas),
                "{position} as of {current_up_to}"
            );
        }
        for (position, current_up_to) in [(5, 8), (5, 9), (6, 6)] {
            assert_eq!(
                step(&value(&row(position, current_up_to))),
                RefreshStep::Skip,
                "{position} as of {current_up_to}"
            );
        }
        let amended = CachedRow { body: None, ..row(5, 8) };
        assert_eq!(step(&value(&amended)), RefreshStep::Replace(cas), "equal freshness, another row");
        let garbage = Reply::Value { cas, value: Bytes::from_static(b"garbage"), may_be_stale: false };
        assert_eq!(step(&garbage), RefreshStep::Replace(cas));
    }

    #[test]
    fn a_refresh_replaces_placeholders_and_skips_absent_keys() {
        let cas = CasToken::from(FillLease(7));
        assert_eq!(step(&Reply::PlaceholderPresent(cas)), RefreshStep::Replace(cas));
        assert_eq!(step(&Reply::PlaceholderCreated(cas)), RefreshStep::Replace(cas));
        assert_eq!(step(&Reply::Absent), RefreshStep::Skip);
        assert_eq!(step(&Reply::Refused), RefreshStep::Invalidate);
    }

    #[test]
    fn the_newest_of_several_rows_of_a_key_is_kept() {
        let (key, other) = (Key::from(*b"k"), Key::from(*b"other"));
        let (rows, alone) = ([row(3, 3), row(4, 4), row(2, 9)], row(1, 1));
        let mut all: Vec<_> = rows.iter().map(|row| (key.clone(), row)).collect();
        all.push((other.clone(), &alone));
        let newest = newest(all);
        assert_eq!((newest.len(), newest[&key], newest[&other]), (2, &rows[1], &alone));
    }
}
