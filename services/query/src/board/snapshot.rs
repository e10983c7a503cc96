//! One picture of all progress.

use std::{sync::Arc, time::Duration};

use diptych_kernel::{
    Partition, Partitions, Position, StreamId, Timestamp,
    domain::ViewId,
    ports::{Progress, ProgressUpdate},
};

/// How much later than what is stored news is believed to be. Progress is stored many times in a second; news that is far ahead of it is left over
/// from a read database that has been replaced since.
const NEWS_AHEAD_MAX: Duration = Duration::from_secs(10);

/// How far one view has got in one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Every event of the partition up to here is in the rows, except those of parked streams.
    pub(crate) position: Position,
    /// The write database's time of that; `None` before the first progress.
    pub(crate) as_of: Option<Timestamp>,
    /// Sorted. `None` where it would be empty, which it nearly always is.
    parked: Option<Arc<[StreamId]>>,
    /// The time of the progress that was stored last, as far as is known here.
    stored_as_of: Option<Timestamp>,
}

impl Slot {
    /// What was stored replaces what was known at the same position: a stream may have been parked there.
    fn take_stored(&mut self, progress: Progress) {
        self.stored_as_of = self.stored_as_of.max(time_of(&progress));
        if progress.position >= self.position {
            self.take(progress);
        }
    }

    /// News counts only where it is new: it is told once, and what is stored may have changed since.
    fn is_news(&self, progress: &Progress) -> bool {
        let ahead_max_micros = i64::try_from(NEWS_AHEAD_MAX.as_micros()).unwrap_or(i64::MAX);
        let stored = self.stored_as_of.map(|as_of| as_of.plus_micros(ahead_max_micros));
        progress.position > self.position && stored.is_some_and(|latest| progress.as_of <= latest)
    }

    fn take(&mut self, progress: Progress) {
        self.position = progress.position;
        self.as_of = self.as_of.max(time_of(&progress));
        let mut parked: Vec<_> = progress.parked.into_iter().map(|parked| parked.stream_id).collect();
        parked.sort_unstable();
        self.parked = (!parked.is_empty()).then(|| parked.into());
    }

    /// The streams that stand still, sorted.
    pub(crate) fn parked(&self) -> &[StreamId] {
        self.parked.as_deref().unwrap_or_default()
    }

    /// Whether everything up to the position is there of what concerns `stream`, or all streams of the partition.
    pub(crate) fn is_whole(&self, stream: Option<&StreamId>) -> bool {
        match stream {
            Some(stream) => !self.is_parked(stream),
            None => self.parked().is_empty(),
        }
    }

    /// Whether a stream stands still.
    pub(crate) fn is_parked(&self, stream: &StreamId) -> bool {
        self.parked.as_ref().is_some_and(|parked| parked.binary_search(stream).is_ok())
    }
}

/// One picture of all progress. Never changed once it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    partitions: Partitions,
    slots: Vec<Slot>,
}

/// Where the slot of a view and partition stands; `None` for a partition that does not exist.
pub(super) fn place(partitions: Partitions, view: usize, partition: Partition) -> Option<usize> {
    let count = usize::from(partitions.count());
    (partition.index() < count).then(|| view * count + partition.index())
}

impl Snapshot {
    /// The picture before anything was projected.
    pub(super) fn empty(views: usize, partitions: Partitions) -> Self {
        Self { partitions, slots: vec![Slot::default(); views * usize::from(partitions.count())] }
    }

    /// How far a view has got in a partition; `None` for what does not exist.
    pub(crate) fn slot(&self, view: usize, partition: Partition) -> Option<&Slot> {
        self.slots.get(place(self.partitions, view, partition)?)
    }

    /// The position of a view in a partition.
    pub(crate) fn position(&self, view: usize, partition: Partition) -> Position {
        self.slot(view, partition).map_or(Position::START, |slot| slot.position)
    }

    /// In order of view and partition.
    pub(super) fn positions(&self) -> impl Iterator<Item = Position> + '_ {
        self.slots.iter().map(|slot| slot.position)
    }

    /// The times up to which views are complete, in order of view and partition.
    pub(super) fn complete_up_to(&self) -> impl Iterator<Item = Option<Timestamp>> + '_ {
        self.slots.iter().map(|slot| slot.as_of)
    }

    /// The picture with what is stored. Nothing in it goes back, whatever was loaded.
    pub(super) fn with_stored(&self, views: &[ViewId], updates: Vec<ProgressUpdate>) -> Self {
        let mut next = self.clone();
        for update in updates {
            if let Some(slot) = next.slot_of(views, &update) {
                slot.take_stored(update.progress);
            }
        }
        next
    }

    /// The picture with what is told; `None` where there is nothing new in it.
    pub(super) fn with_news(&self, views: &[ViewId], updates: Vec<ProgressUpdate>) -> Option<Self> {
        let mut next = None;
        for update in updates {
            let slot = self.place_of(views, &update).and_then(|place| self.slots.get(place));
            if slot.is_some_and(|slot| slot.is_news(&update.progress))
                && let Some(slot) = next.get_or_insert_with(|| self.clone()).slot_of(views, &update)
            {
                slot.take(update.progress);
            }
        }
        next
    }

    fn place_of(&self, views: &[ViewId], update: &ProgressUpdate) -> Option<usize> {
        let view = views.iter().position(|known| *known == update.view)?;
        place(self.partitions, view, update.partition)
    }

    fn slot_of(&mut self, views: &[ViewId], update: &ProgressUpdate) -> Option<&mut Slot> {
        let place = self.place_of(views, update)?;
        self.slots.get_mut(place)
    }
}

/// `None` before the first progress.
fn time_of(progress: &Progress) -> Option<Timestamp> {
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

    fn updated(snapshot: &Snapshot, update: ProgressUpdate) -> Snapshot {
        snapshot.with_stored(&[SEATS, TOTALS], vec![update])
    }

    fn told(snapshot: &Snapshot, update: ProgressUpdate) -> Option<Snapshot> {
        snapshot.with_news(&[SEATS, TOTALS], vec![update])
    }

    fn empty() -> Snapshot {
        Snapshot::empty(2, Partitions::new(2).unwrap())
    }

    #[test]
    fn nothing_goes_back() {
        let snapshot = updated(&empty(), update(SEATS, 1, 5, &["seat-1"]));
        assert_eq!(updated(&snapshot, update(SEATS, 1, 4, &[])), snapshot);
    }

    #[test]
    fn parked_streams_are_those_of_the_newest_progress() {
        let (one, other) = (StreamId::new("seat-1").unwrap(), StreamId::new("seat-2").unwrap());
        let snapshot = updated(&empty(), update(SEATS, 1, 5, &["seat-2", "seat-1"]));
        let slot = snapshot.slot(0, Partition::new(1)).unwrap();
        assert!(slot.is_parked(&one) && slot.is_parked(&other) && !slot.is_whole(None));
        let snapshot = updated(&snapshot, update(SEATS, 1, 5, &["seat-2"]));
        let slot = snapshot.slot(0, Partition::new(1)).unwrap();
        assert!(slot.is_whole(Some(&one)) && !slot.is_whole(Some(&other)));
    }

    #[test]
    fn views_and_partitions_are_apart() {
        let snapshot = updated(&empty(), update(TOTALS, 0, 5, &[]));
        let positions: Vec<_> = snapshot.positions().map(Position::as_i64).collect();
        assert_eq!(positions, [0, 0, 5, 0]);
        let snapshot = updated(&snapshot, update(TOTALS, 1, 7, &[]));
        let [at_5, at_7] = [5, 7].map(|micros| Some(Timestamp::from_micros(micros)));
        assert_eq!(snapshot.complete_up_to().collect::<Vec<_>>(), [None, None, at_5, at_7]);
    }

    #[test]
    fn what_is_not_on_the_board_is_left_out() {
        let plays = ViewId { name: "plays", generation: 1 };
        assert_eq!(updated(&empty(), update(plays, 0, 5, &[])), empty());
        assert_eq!(updated(&empty(), update(SEATS, 2, 5, &[])), empty());
        assert_eq!(empty().slot(0, Partition::new(2)), None);
        assert_eq!(empty().slot(2, Partition::new(0)), None);
    }

    #[test]
    fn news_moves_the_picture_before_it_is_stored() {
        let snapshot = updated(&empty(), update(SEATS, 1, 5, &["seat-1"]));
        let news = told(&snapshot, update(SEATS, 1, 6, &[])).unwrap();
        let slot = news.slot(0, Partition::new(1)).unwrap();
        assert_eq!((slot.position.as_i64(), slot.as_of, slot.parked().len()), (6, Some(Timestamp::from_micros(6)), 0));
        assert_eq!(
            updated(&news, update(SEATS, 1, 5, &[])).position(0, Partition::new(1)).as_i64(),
            6,
            "nor back again"
        );
    }

    #[test]
    fn what_is_known_already_is_no_news() {
        let snapshot = updated(&empty(), update(SEATS, 1, 5, &["seat-1"]));
        // Told before the stream was parked, as the event was there all the same.
        assert_eq!(told(&snapshot, update(SEATS, 1, 5, &[])), None);
        assert_eq!(told(&snapshot, update(SEATS, 1, 4, &[])), None);
        assert_eq!(told(&snapshot, update(SEATS, 2, 9, &[])), None, "there is no such partition");
    }

    #[test]
    fn what_is_stored_later_at_the_same_position_replaces_news() {
        let snapshot = updated(&empty(), update(SEATS, 1, 5, &[]));
        let news = told(&snapshot, update(SEATS, 1, 6, &[])).unwrap();
        let parked = updated(&news, update(SEATS, 1, 6, &["seat-1"]));
        assert!(!parked.slot(0, Partition::new(1)).unwrap().is_whole(None));
        assert_eq!(told(&parked, update(SEATS, 1, 6, &[])), None);
    }

    #[test]
    fn news_far_ahead_of_what_is_stored_is_of_another_read_database() {
        let later = |at: i64| update(SEATS, 1, 5 + at, &[]);
        assert_eq!(told(&empty(), later(1)), None, "nothing is stored");
        let snapshot = updated(&empty(), later(0));
        let ahead_max = i64::try_from(NEWS_AHEAD_MAX.as_micros()).unwrap();
        let news = told(&snapshot, later(ahead_max)).unwrap();
        assert_eq!(told(&snapshot, later(ahead_max + 1)), None);
        assert_eq!(told(&news, later(ahead_max + 1)), None, "news is no ground for more of it");
        let stored = updated(&news, later(1));
        assert!(told(&stored, later(ahead_max + 1)).is_some());
    }
}
