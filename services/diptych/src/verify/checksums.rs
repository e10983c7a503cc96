//! Comparison of all events and snapshots with their checksums.

use diptych_kernel::{
    Position, StreamId,
    ports::{ChecksumPage, Damage, PortResult, StoredChecksums},
};

/// Events or snapshots in one read.
const PAGE_MAX: usize = 2_000;

/// Result of the comparison.
#[derive(Debug, Default)]
pub(super) struct ChecksumComparison {
    /// Events that have a checksum.
    pub(super) events_compared: u64,
    /// Snapshots that have a checksum.
    pub(super) snapshots_compared: u64,
    /// Number of events and snapshots that differ from their checksum.
    pub(super) damaged_count: u64,
    /// The first of them.
    pub(super) damaged: Vec<Damage>,
}

impl ChecksumComparison {
    /// Adds a page. Keeps at most `damaged_max` in detail; all are counted.
    fn add<C>(&mut self, page: &mut ChecksumPage<C>, damaged_max: usize) {
        self.damaged_count += u64::try_from(page.damaged.len()).unwrap_or(u64::MAX);
        let room = damaged_max.saturating_sub(self.damaged.len());
        self.damaged.extend(page.damaged.drain(..).take(room));
    }
}

/// Compares everything that is stored. Changes nothing.
pub(super) async fn compare<S: StoredChecksums>(store: &S, damaged_max: usize) -> PortResult<ChecksumComparison> {
    let mut comparison = ChecksumComparison::default();
    let mut after = Some(Position::START);
    while let Some(from) = after {
        let mut page = store.compare_events(from, PAGE_MAX).await?;
        comparison.events_compared += page.compared;
        comparison.add(&mut page, damaged_max);
        after = page.next;
    }
    let mut after: Option<StreamId> = None;
    loop {
        let mut page = store.compare_snapshots(after.as_ref(), PAGE_MAX).await?;
        comparison.snapshots_compared += page.compared;
        comparison.add(&mut page, damaged_max);
        after = page.next;
        if after.is_none() {
            return Ok(comparison);
        }
    }
}
