//! Cursor through a statement, from the newest entry to the oldest.

use diptych_kernel::Version;
use diptych_query::Page;

use crate::views::{BUCKET_VERSIONS, EntryKey};

/// The lowest version that can be an entry: version 1 opens the account.
const ENTRY_VERSION_MIN: u32 = 2;

/// Position in a statement: the next entry is the newest one below a version. Moves through the buckets downwards.
///
/// New entries have larger versions, so they never shift the entries below: no page repeats or skips one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StatementCursor {
    below_exclusive: u32,
}

impl StatementCursor {
    /// Starts at the newest entry of an account at this version. The whole bucket is included, as entries may be
    /// fresher than the account's row.
    pub(super) fn from_newest(version: u32) -> Self {
        Self { below_exclusive: bucket_start(version).saturating_add(BUCKET_VERSIONS) }
    }

    /// Decodes the key of a page token; `None` when it is not one that [`StatementCursor::to_key`] returns before the
    /// end.
    pub(super) fn from_key(key: &[u8]) -> Option<Self> {
        let below_exclusive = u32::from_be_bytes(key.try_into().ok()?);
        (below_exclusive > ENTRY_VERSION_MIN).then_some(Self { below_exclusive })
    }

    /// The key for a page token.
    pub(super) fn to_key(self) -> [u8; 4] {
        self.below_exclusive.to_be_bytes()
    }

    /// Returns whether no entry can be left.
    pub(super) fn is_done(self) -> bool {
        self.below_exclusive <= ENTRY_VERSION_MIN
    }

    /// The bucket of the next entry.
    pub(super) fn bucket(self) -> u32 {
        EntryKey::of(Version::new(self.below_exclusive.saturating_sub(1))).bucket()
    }

    /// The sort key after which the next entry is.
    pub(super) fn after(self) -> [u8; 4] {
        EntryKey::of(Version::new(self.below_exclusive)).sort_key()
    }

    /// Moves past these rows of the current bucket.
    pub(super) fn advanced_past(self, page: &Page) -> Self {
        let last = page.rows.last().and_then(|(sort_key, _)| EntryKey::from_sort_key(sort_key));
        match last {
            Some(last) if page.more => Self { below_exclusive: last.version().number() },
            _ if page.more => self,
            _ => Self { below_exclusive: bucket_start(self.below_exclusive.saturating_sub(1)) },
        }
    }
}

/// The lowest version of a version's bucket.
fn bucket_start(version: u32) -> u32 {
    version - version % BUCKET_VERSIONS
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// The rows of a bucket as a store returns them.
    fn scan(versions: &[u32], cursor: StatementCursor, room: usize) -> Page {
        let below = |version: &&u32| {
            **version < cursor.below_exclusive && bucket_start(**version) == cursor.bucket() * BUCKET_VERSIONS
        };
        let mut found: Vec<u32> = versions.iter().filter(below).copied().collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        let rows = found.iter().take(room).map(|version| {
            let key = EntryKey::of(Version::new(*version)).sort_key();
            (Bytes::copy_from_slice(&key), Bytes::new())
        });
        Page { rows: rows.collect(), more: found.len() > room }
    }

    fn read_all(versions: &[u32], newest: u32, room: usize) -> Vec<u32> {
        let mut seen = Vec::new();
        let mut cursor = StatementCursor::from_newest(newest);
        while !cursor.is_done() {
            let page = scan(versions, cursor, room);
            for (key, _) in &page.rows {
                seen.push(EntryKey::from_sort_key(key).unwrap().version().number());
            }
            let key = cursor.advanced_past(&page).to_key();
            let Some(next) = StatementCursor::from_key(&key) else { break };
            assert!(next.below_exclusive < cursor.below_exclusive, "a cursor moves down");
            cursor = next;
        }
        seen
    }

    #[test]
    fn every_entry_comes_once_newest_first() {
        for newest in [1, 2, 3, 999, 1_000, 1_001, 1_999, 2_000, 3_456] {
            let versions: Vec<u32> = (2..=newest).collect();
            let newest_first: Vec<u32> = versions.iter().rev().copied().collect();
            for room in [1, 7, 500, 1_000] {
                assert_eq!(read_all(&versions, newest, room), newest_first, "{newest} {room}");
            }
        }
    }

    #[test]
    fn empty_buckets_are_skipped() {
        assert_eq!(read_all(&[2, 9_000], 9_999, 50), [9_000, 2]);
        assert_eq!(read_all(&[], 9_999, 50), [] as [u32; 0]);
    }

    #[test]
    fn the_largest_version_does_not_overflow() {
        let cursor = StatementCursor::from_newest(u32::MAX);
        assert_eq!(cursor.bucket(), u32::MAX / BUCKET_VERSIONS);
        assert_eq!(cursor.advanced_past(&Page::default()).bucket(), u32::MAX / BUCKET_VERSIONS - 1);
    }

    #[test]
    fn a_key_of_no_page_is_refused() {
        for key in [&[][..], &[0; 3], &[0; 4], &[0, 0, 0, 2], &[0; 5]] {
            assert_eq!(StatementCursor::from_key(key), None, "{key:?}");
        }
    }
}
