//! One picture of all progress.

use std::sync::Arc;

use diptych_kernel::{Partition, Partitions, Position, StreamId, Timestamp, domain::ViewId, ports::ProgressUpdate};

/// How far one view has got in one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Every event of the partition up to here is in the rows, except those of parked streams.
    pub(crate) position: Position,
    /// The write database's time of that; `None` before the first progress.
    pub(crate) as_of: Option<Timestamp>,
    /// Sorted. `None` where it would be empty, which it nearly always is.
    parked: Option<Arc<[StreamId]>>,
}

impl Slot {
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

    /// The picture after these updates. Nothing in it goes back, whatever was loaded.
    pub(super) fn updated(&self, views: &[ViewId], updates: Vec<ProgressUpdate>) -> Self {
        let mut next = self.clone();
        for ProgressUpdate { view, partition, progress } in updates {
            let Some(view) = views.iter().position(|known| *known == view) else { continue };
            let Some(slot) = place(self.partitions, view, partition).and_then(|place| next.slots.get_mut(place)) else {
                continue;
            };
            if progress.position < slot.position {
                continue;
            }
            slot.position = progress.position;
            slot.as_of = slot.as_of.max((progress.as_of > Timestamp::default()).then_some(progress.as_of));
            let mut parked: Vec<_> = progress.parked.into_iter().map(|parked| parked.stream_id).collect();
            parked.sort_unstable();
            slot.parked = (!parked.is_empty()).then(|| parked.into());
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use diptych_kernel::{
        Version,
        ports::{Parked, Progress},
    };

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
        snapshot.updated(&[SEATS, TOTALS], vec![update])
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
}
