//! Immutable snapshot of the progress of all views.

use std::{sync::Arc, time::Duration};

use diptych_kernel::{
    Partition, Partitions, Position, StreamId, Timestamp,
    domain::ViewId,
    ports::{Progress, ProgressUpdate},
};

/// Longest time that announced progress may be ahead of stored progress. Progress is stored many times a second, so an
/// announcement further ahead is left over from a read database that has been replaced since.
const ANNOUNCED_AHEAD_MAX: Duration = Duration::from_secs(10);

/// Progress of one view in one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PartitionProgress {
    /// The rows contain every event of the partition up to this position, except those of parked streams.
    pub(crate) position: Position,
    /// The write database's time of that position; `None` before the first progress.
    pub(crate) as_of: Option<Timestamp>,
    /// Sorted. `None` instead of an empty list, which is by far the most common case.
    parked: Option<Arc<[StreamId]>>,
    /// The time of the newest stored progress that was loaded.
    stored_as_of: Option<Timestamp>,
}

impl PartitionProgress {
    /// Applies stored progress. It also replaces progress at the same position: a stream may have been parked there.
    fn apply_stored(&mut self, progress: Progress) {
        self.stored_as_of = self.stored_as_of.max(known_as_of(&progress));
        if progress.position >= self.position {
            self.apply(progress);
        }
    }

    /// Returns whether to apply announced progress. It must be at a larger position: an announcement is made once, and
    /// the stored progress may have changed since.
    fn accepts_announced(&self, progress: &Progress) -> bool {
        let ahead_max_micros = i64::try_from(ANNOUNCED_AHEAD_MAX.as_micros()).unwrap_or(i64::MAX);
        let latest = self.stored_as_of.map(|as_of| as_of.plus_micros(ahead_max_micros));
        progress.position > self.position && latest.is_some_and(|latest| progress.as_of <= latest)
    }

    fn apply(&mut self, progress: Progress) {
        self.position = progress.position;
        self.as_of = self.as_of.max(known_as_of(&progress));
        let mut parked: Vec<_> = progress.parked.into_iter().map(|parked| parked.stream_id).collect();
        parked.sort_unstable();
        self.parked = (!parked.is_empty()).then(|| parked.into());
    }

    /// Returns the parked streams, sorted.
    pub(crate) fn parked(&self) -> &[StreamId] {
        self.parked.as_deref().unwrap_or_default()
    }

    /// Returns whether the rows contain every event up to the position of `stream`, or of all streams of the partition.
    pub(crate) fn is_complete_for(&self, stream: Option<&StreamId>) -> bool {
        match stream {
            Some(stream) => !self.is_parked(stream),
            None => self.parked().is_empty(),
        }
    }

    /// Returns whether a stream is parked.
    pub(crate) fn is_parked(&self, stream: &StreamId) -> bool {
        self.parked.as_ref().is_some_and(|parked| parked.binary_search(stream).is_ok())
    }
}

/// Progress of all views in all partitions at one moment. Immutable once it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProgressSnapshot {
    partitions: Partitions,
    /// Ordered by view, then partition.
    progress: Vec<PartitionProgress>,
}

/// Returns the index of a view and partition in a list ordered by view, then partition; `None` for a partition that
/// does not exist.
pub(super) fn progress_index(partitions: Partitions, view_index: usize, partition: Partition) -> Option<usize> {
    let count = usize::from(partitions.count());
    (partition.index() < count).then(|| view_index * count + partition.index())
}

impl ProgressSnapshot {
    /// Creates the snapshot before anything was projected.
    pub(super) fn empty(views: usize, partitions: Partitions) -> Self {
        let progress = vec![PartitionProgress::default(); views * usize::from(partitions.count())];
        Self { partitions, progress }
    }

    /// Returns the progress of a view in a partition; `None` if either does not exist.
    pub(crate) fn progress(&self, view_index: usize, partition: Partition) -> Option<&PartitionProgress> {
        self.progress.get(progress_index(self.partitions, view_index, partition)?)
    }

    /// Returns the position of a view in a partition.
    pub(crate) fn position(&self, view_index: usize, partition: Partition) -> Position {
        self.progress(view_index, partition).map_or(Position::START, |progress| progress.position)
    }

    /// Returns the smallest position of a view that is complete up to a time in a partition: every event of it that was
    /// recorded by that time is at or below that position. `None` if no view is.
    pub(crate) fn complete_at(&self, partition: Partition, time: Timestamp) -> Option<Position> {
        let complete = |progress: &&PartitionProgress| progress.as_of.is_some_and(|as_of| as_of >= time);
        self.of_partition(partition).filter(complete).map(|progress| progress.position).min()
    }

    /// Returns the latest time up to which a view is complete in a partition; `None` before the first progress.
    pub(crate) fn latest_as_of(&self, partition: Partition) -> Option<Timestamp> {
        self.of_partition(partition).filter_map(|progress| progress.as_of).max()
    }

    /// Returns the progress of every view in a partition.
    fn of_partition(&self, partition: Partition) -> impl Iterator<Item = &PartitionProgress> {
        self.progress.iter().skip(partition.index()).step_by(usize::from(self.partitions.count()))
    }

    /// Returns the positions of all views, ordered by view, then partition.
    pub(super) fn positions(&self) -> impl Iterator<Item = Position> + '_ {
        self.progress.iter().map(|progress| progress.position)
    }

    /// Returns the times up to which views are complete, ordered by view, then partition.
    pub(super) fn complete_up_to(&self) -> impl Iterator<Item = Option<Timestamp>> + '_ {
        self.progress.iter().map(|progress| progress.as_of)
    }

    /// Returns this snapshot with stored progress applied. No position ever decreases, whatever was loaded.
    pub(super) fn with_stored(&self, views: &[ViewId], updates: Vec<ProgressUpdate>) -> Self {
        let mut next = self.clone();
        for update in updates {
            if let Some(progress) = next.progress_mut(views, &update) {
                progress.apply_stored(update.progress);
            }
        }
        next
    }

    /// Returns this snapshot with announced progress applied; `None` if no announcement is newer.
    pub(super) fn with_announced(&self, views: &[ViewId], updates: Vec<ProgressUpdate>) -> Option<Self> {
        let mut next = None;
        for update in updates {
            let current = self.index_of(views, &update).and_then(|index| self.progress.get(index));
            if current.is_some_and(|current| current.accepts_announced(&update.progress))
                && let Some(progress) = next.get_or_insert_with(|| self.clone()).progress_mut(views, &update)
            {
                progress.apply(update.progress);
            }
        }
        next
    }

    fn index_of(&self, views: &[ViewId], update: &ProgressUpdate) -> Option<usize> {
        let view_index = views.iter().position(|known| *known == update.view)?;
        progress_index(self.partitions, view_index, update.partition)
    }

    fn progress_mut(&mut self, views: &[ViewId], update: &ProgressUpdate) -> Option<&mut PartitionProgress> {
        let index = self.index_of(views, update)?;
        self.progress.get_mut(index)
    }
}

/// Returns the time of progress; `None` before the first progress.
fn known_as_of(progress: &Progress) -> Option<Timestamp> {
    (progress.as_of > Timestamp::default()).then_some(progress.as_of)
}

#[cfg(test)]
mod tests {
    use diptych_kernel::{Version, ports::Parked};

    use super::*;

    const SEATS: ViewId = ViewId { name: "seats", generation: 1 };
    const TOTALS: ViewId = ViewId { name: "totals", generation: 1 };

    fn update(view: ViewId, partition: u16, at: i64, parked: &[&str]) -> ProgressUpdate {
        let parked = parked.iter().map(|name| Parked {
            stream_id: StreamId::new(name).unwrap(),
            version: Version::new(1),
            reason: String::new(),
        });
        let (position, as_of) = (Position::from_i64(at).unwrap(), Timestamp::from_micros(at));
        let progress = Progress { position, as_of, parked: parked.collect(), ..Progress::default() };
        ProgressUpdate { view, partition: Partition::new(partition), progress }
    }

    fn with_stored(snapshot: &ProgressSnapshot, update: ProgressUpdate) -> ProgressSnapshot {
        snapshot.with_stored(&[SEATS, TOTALS], vec![update])
    }

    fn with_announced(snapshot: &ProgressSnapshot, update: ProgressUpdate) -> Option<ProgressSnapshot> {
        snapshot.with_announced(&[SEATS, TOTALS], vec![update])
    }

    fn empty() -> ProgressSnapshot {
        ProgressSnapshot::empty(2, Partitions::new(2).unwrap())
    }

    #[test]
    fn no_position_decreases() {
        let snapshot = with_stored(&empty(), update(SEATS, 1, 5, &["seat-1"]));
        assert_eq!(with_stored(&snapshot, update(SEATS, 1, 4, &[])), snapshot);
    }

    #[test]
    fn parked_streams_are_those_of_the_newest_progress() {
        let (one, other) = (StreamId::new("seat-1").unwrap(), StreamId::new("seat-2").unwrap());
        let snapshot = with_stored(&empty(), update(SEATS, 1, 5, &["seat-2", "seat-1"]));
        let progress = snapshot.progress(0, Partition::new(1)).unwrap();
        assert!(progress.is_parked(&one) && progress.is_parked(&other) && !progress.is_complete_for(None));
        let snapshot = with_stored(&snapshot, update(SEATS, 1, 5, &["seat-2"]));
        let progress = snapshot.progress(0, Partition::new(1)).unwrap();
        assert!(progress.is_complete_for(Some(&one)) && !progress.is_complete_for(Some(&other)));
    }

    #[test]
    fn views_and_partitions_are_independent() {
        let snapshot = with_stored(&empty(), update(TOTALS, 0, 5, &[]));
        let positions: Vec<_> = snapshot.positions().map(Position::as_i64).collect();
        assert_eq!(positions, [0, 0, 5, 0]);
        let snapshot = with_stored(&snapshot, update(TOTALS, 1, 7, &[]));
        let [at_5, at_7] = [5, 7].map(|micros| Some(Timestamp::from_micros(micros)));
        assert_eq!(snapshot.complete_up_to().collect::<Vec<_>>(), [None, None, at_5, at_7]);
    }

    #[test]
    fn untracked_views_and_partitions_are_ignored() {
        let plays = ViewId { name: "plays", generation: 1 };
        assert_eq!(with_stored(&empty(), update(plays, 0, 5, &[])), empty());
        assert_eq!(with_stored(&empty(), update(SEATS, 2, 5, &[])), empty());
        assert_eq!(empty().progress(0, Partition::new(2)), None);
        assert_eq!(empty().progress(2, Partition::new(0)), None);
    }

    #[test]
    fn announced_progress_applies_before_it_is_stored() {
        let snapshot = with_stored(&empty(), update(SEATS, 1, 5, &["seat-1"]));
        let announced = with_announced(&snapshot, update(SEATS, 1, 6, &[])).unwrap();
        let progress = announced.progress(0, Partition::new(1)).unwrap();
        assert_eq!(
            (progress.position.as_i64(), progress.as_of, progress.parked().len()),
            (6, Some(Timestamp::from_micros(6)), 0)
        );
        assert_eq!(
            with_stored(&announced, update(SEATS, 1, 5, &[])).position(0, Partition::new(1)).as_i64(),
            6,
            "the position does not decrease again"
        );
    }

    #[test]
    fn an_announcement_of_known_progress_is_ignored() {
        let snapshot = with_stored(&empty(), update(SEATS, 1, 5, &["seat-1"]));
        // Announced before the stream was parked at the same position.
        assert_eq!(with_announced(&snapshot, update(SEATS, 1, 5, &[])), None);
        assert_eq!(with_announced(&snapshot, update(SEATS, 1, 4, &[])), None);
        assert_eq!(with_announced(&snapshot, update(SEATS, 2, 9, &[])), None, "the partition does not exist");
    }

    #[test]
    fn stored_progress_replaces_announced_progress_at_the_same_position() {
        let snapshot = with_stored(&empty(), update(SEATS, 1, 5, &[]));
        let announced = with_announced(&snapshot, update(SEATS, 1, 6, &[])).unwrap();
        let parked = with_stored(&announced, update(SEATS, 1, 6, &["seat-1"]));
        assert!(!parked.progress(0, Partition::new(1)).unwrap().is_complete_for(None));
        assert_eq!(with_announced(&parked, update(SEATS, 1, 6, &[])), None);
    }

    #[test]
    fn an_announcement_far_ahead_of_stored_progress_is_ignored() {
        let later = |at: i64| update(SEATS, 1, 5 + at, &[]);
        assert_eq!(with_announced(&empty(), later(1)), None, "nothing is stored yet");
        let snapshot = with_stored(&empty(), later(0));
        let ahead_max = i64::try_from(ANNOUNCED_AHEAD_MAX.as_micros()).unwrap();
        let announced = with_announced(&snapshot, later(ahead_max)).unwrap();
        assert_eq!(with_announced(&snapshot, later(ahead_max + 1)), None);
        assert_eq!(with_announced(&announced, later(ahead_max + 1)), None, "an announcement does not extend the bound");
        let stored = with_stored(&announced, later(1));
        assert!(with_announced(&stored, later(ahead_max + 1)).is_some());
    }

    #[test]
    fn a_partition_is_complete_where_one_of_the_views_is() {
        let snapshot = with_stored(&with_stored(&empty(), update(SEATS, 1, 5, &[])), update(TOTALS, 1, 9, &[]));
        let complete = |partition, micros| {
            let position = snapshot.complete_at(Partition::new(partition), Timestamp::from_micros(micros));
            position.map(Position::as_i64)
        };
        assert_eq!([4, 5, 6, 9, 10].map(|micros| complete(1, micros)), [Some(5), Some(5), Some(9), Some(9), None]);
        assert_eq!(complete(0, 1), None, "another partition");
        assert_eq!(snapshot.latest_as_of(Partition::new(1)), Some(Timestamp::from_micros(9)));
        assert_eq!(snapshot.latest_as_of(Partition::new(0)), None);
    }
}
