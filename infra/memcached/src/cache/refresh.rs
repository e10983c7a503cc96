//! Bringing what is cached up to date.

use std::collections::HashMap;

use bytes::Bytes;
use diptych_kernel::{Position, ports::CachedRow};

use super::{Terms, forget};
use crate::{
    key::Key,
    lane::{Command, Failure, Lane, Mark, Reply},
    metrics::CacheMetrics,
    value,
};

/// How many rows share round trips. Readers of the same process have their turn between two of these.
const ROWS_AT_ONCE: usize = 512;

/// How often a row is tried that others keep changing, before it is forgotten instead.
const TRIES_MAX: usize = 8;

/// A row on its way into the cache.
pub(super) struct Refresh {
    key: Key,
    /// By which rows of a key are compared.
    age: (Position, Position),
    /// `None` where it is too large.
    value: Option<Bytes>,
}

/// What the sight of an item means for a refresh.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Nothing is to be done.
    Stop,
    /// The item is to be replaced.
    Replace(Mark),
    /// The key is to be forgotten.
    Forget,
}

impl Refresh {
    pub(super) fn new(key: Key, row: &CachedRow, value: Option<Bytes>) -> Self {
        Self { key, age: age(row), value }
    }

    fn next_step(&self, seen: &Reply, metrics: &CacheMetrics) -> Step {
        match seen {
            // Whoever looks at the key from now on reads the read database after this row was stored there.
            Reply::Absent => Step::Stop,
            Reply::Held(mark) | Reply::Taken(mark) => Step::Replace(*mark),
            Reply::Value { mark, value, .. } => match value::decode(value) {
                Some(_) if Some(value) == self.value.as_ref() => Step::Stop,
                Some(there) if age(&there) > self.age => Step::Stop,
                Some(_) => Step::Replace(*mark),
                None => {
                    metrics.undecodable.increment(1);
                    Step::Replace(*mark)
                }
            },
            Reply::Refused | Reply::Done | Reply::Changed => Step::Forget,
        }
    }
}

fn age(row: &CachedRow) -> (Position, Position) {
    (row.position, row.as_of)
}

/// The newest row of each key.
pub(super) fn newest(rows: Vec<(Key, &CachedRow)>) -> HashMap<Key, &CachedRow> {
    let mut newest: HashMap<Key, &CachedRow> = HashMap::with_capacity(rows.len());
    for (key, row) in rows {
        let there = newest.entry(key).or_insert(row);
        if age(row) >= age(there) {
            *there = row;
        }
    }
    newest
}

/// Brings rows of one lane up to date.
pub(super) async fn refresh(
    lane: &Lane,
    rows: Vec<Refresh>,
    terms: Terms,
    metrics: &CacheMetrics,
) -> Result<(), Failure> {
    // For all of them at once, as a failure leaves the rest untried.
    let pledges: Vec<_> =
        rows.chunks(ROWS_AT_ONCE).map(|rows| lane.pledge(rows.iter().map(|row| row.key.clone()))).collect();
    let mut rows = rows.into_iter();
    for pledge in pledges {
        let some = rows.by_ref().take(ROWS_AT_ONCE).collect();
        refresh_some(lane, some, terms, metrics).await?;
        pledge.keep();
    }
    Ok(())
}

async fn refresh_some(lane: &Lane, rows: Vec<Refresh>, terms: Terms, metrics: &CacheMetrics) -> Result<(), Failure> {
    let (mut open, oversized): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.value.is_some());
    let mut forgotten: Vec<Key> = oversized.into_iter().map(|row| row.key).collect();
    for _ in 0..TRIES_MAX {
        if open.is_empty() {
            break;
        }
        open = try_once(lane, open, &mut forgotten, terms, metrics).await?;
    }
    metrics.contended.increment(u64::try_from(open.len()).unwrap_or(u64::MAX));
    forgotten.extend(open.into_iter().map(|row| row.key));
    if forgotten.is_empty() { Ok(()) } else { forget(lane, forgotten).await }
}

/// Looks, and replaces what is older. Returns the rows of which somebody else has changed the key in between.
async fn try_once(
    lane: &Lane,
    rows: Vec<Refresh>,
    forgotten: &mut Vec<Key>,
    terms: Terms,
    metrics: &CacheMetrics,
) -> Result<Vec<Refresh>, Failure> {
    let hold_s = terms.refresh_puts_absent.then_some(terms.lease_ttl_s);
    let seen = lane.ask(rows.iter().map(|row| Command::Look { key: row.key.clone(), hold_s }).collect()).await?;
    let (mut replaced, mut puts) = (Vec::new(), Vec::new());
    for (row, seen) in rows.into_iter().zip(seen) {
        match (row.next_step(&seen, metrics), &row.value) {
            (Step::Stop, _) => {}
            (Step::Replace(mark), Some(value)) => {
                puts.push(Command::Put { key: row.key.clone(), mark, value: value.clone(), ttl_s: terms.ttl_s });
                replaced.push(row);
            }
            (Step::Replace(_) | Step::Forget, _) => forgotten.push(row.key),
        }
    }
    let replies = lane.ask(puts).await?;
    let mut lost = Vec::new();
    for (row, reply) in replaced.into_iter().zip(replies) {
        match reply {
            Reply::Changed => lost.push(row),
            Reply::Refused => forgotten.push(row.key),
            // Done; or gone in between, as in `next_step`.
            _ => {}
        }
    }
    Ok(lost)
}

#[cfg(test)]
mod tests {
    use diptych_kernel::{Timestamp, ports::FillLease};

    use super::*;

    fn row(position: i64, as_of: i64) -> CachedRow {
        CachedRow {
            position: Position::from_i64(position).unwrap(),
            as_of: Position::from_i64(as_of).unwrap(),
            as_of_time: Timestamp::from_micros(as_of),
            body: Some(Bytes::from(format!("at {position}"))),
        }
    }

    fn step(seen: &Reply) -> Step {
        let row = row(5, 8);
        Refresh::new(Key::from(*b"k"), &row, Some(value::encode(&row))).next_step(seen, &CacheMetrics::new())
    }

    #[test]
    fn only_what_is_not_newer_is_replaced() {
        let mark = Mark::from(FillLease(7));
        let value = |row: &CachedRow| Reply::Value { mark, value: value::encode(row), is_doubtful: false };
        for (position, as_of) in [(4, 9), (5, 7), (1, 1)] {
            assert_eq!(step(&value(&row(position, as_of))), Step::Replace(mark), "{position} as of {as_of}");
        }
        for (position, as_of) in [(5, 8), (5, 9), (6, 6)] {
            assert_eq!(step(&value(&row(position, as_of))), Step::Stop, "{position} as of {as_of}");
        }
        let amended = CachedRow { body: None, ..row(5, 8) };
        assert_eq!(step(&value(&amended)), Step::Replace(mark), "the same age, another row");
        let garbage = Reply::Value { mark, value: Bytes::from_static(b"garbage"), is_doubtful: false };
        assert_eq!(step(&garbage), Step::Replace(mark));
    }

    #[test]
    fn a_refresh_ends_leases_and_invents_nothing() {
        let mark = Mark::from(FillLease(7));
        assert_eq!(step(&Reply::Taken(mark)), Step::Replace(mark));
        assert_eq!(step(&Reply::Held(mark)), Step::Replace(mark));
        assert_eq!(step(&Reply::Absent), Step::Stop);
        assert_eq!(step(&Reply::Refused), Step::Forget);
    }

    #[test]
    fn of_several_rows_of_a_key_the_newest_counts() {
        let (key, other) = (Key::from(*b"k"), Key::from(*b"other"));
        let (rows, alone) = ([row(3, 3), row(4, 4), row(2, 9)], row(1, 1));
        let mut all: Vec<_> = rows.iter().map(|row| (key.clone(), row)).collect();
        all.push((other.clone(), &alone));
        let newest = newest(all);
        assert_eq!((newest.len(), newest[&key], newest[&other]), (2, &rows[1], &alone));
    }
}
