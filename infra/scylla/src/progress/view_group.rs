//! Groups views with equal progress, which are saved in one row.

use std::collections::BTreeMap;

use diptych_kernel::{
    Partition,
    domain::ViewId,
    ports::{PortError, PortResult, Progress, ProgressUpdate},
};

/// Separates the names of views, which do not contain it.
pub(super) const SEPARATOR: char = ',';

/// Views with equal progress in a partition.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ViewGroup {
    pub(super) partition: Partition,
    /// In ascending order.
    pub(super) views: Vec<ViewId>,
    pub(super) progress: Progress,
}

impl ViewGroup {
    /// Groups updates, keeping for each view and partition the one that would remain if they were saved one after the
    /// other.
    pub(super) fn of(updates: &[ProgressUpdate]) -> Vec<Self> {
        let mut furthest = BTreeMap::<(Partition, ViewId), &Progress>::new();
        for ProgressUpdate { view, partition, progress } in updates {
            let kept = furthest.entry((*partition, *view)).or_insert(progress);
            if progress.position >= kept.position {
                *kept = progress;
            }
        }
        let mut all: Vec<Self> = Vec::new();
        for ((partition, view), progress) in furthest {
            // The groups of the partition are the last ones, and they are few.
            let mut of_partition = all.iter_mut().rev().take_while(|group| group.partition == partition);
            match of_partition.find(|group| group.progress == *progress) {
                Some(group) => group.views.push(view),
                None => all.push(Self { partition, views: vec![view], progress: progress.clone() }),
            }
        }
        all
    }

    pub(super) fn partition_column(&self) -> PortResult<i16> {
        i16::try_from(self.partition.number())
            .map_err(|_| PortError::operator(format!("partition {} is too large", self.partition)))
    }

    pub(super) fn views_column(&self) -> String {
        let names: Vec<_> = self.views.iter().map(ToString::to_string).collect();
        names.join(&SEPARATOR.to_string())
    }
}

#[cfg(test)]
mod tests {
    use diptych_kernel::Position;

    use super::*;

    const SEATS: ViewId = ViewId { name: "seats", generation: 2 };
    const SHOWS: ViewId = ViewId { name: "shows", generation: 1 };
    const TOTALS: ViewId = ViewId { name: "totals", generation: 1 };

    fn update(view: ViewId, partition: u16, position: i64) -> ProgressUpdate {
        let progress = Progress { position: Position::from_i64(position).unwrap(), ..Progress::default() };
        ProgressUpdate { view, partition: Partition::new(partition), progress }
    }

    fn names(updates: &[ProgressUpdate]) -> Vec<(u16, String, i64)> {
        let row = |group: ViewGroup| (group.partition.number(), group.views_column(), group.progress.position.as_i64());
        ViewGroup::of(updates).into_iter().map(row).collect()
    }

    #[test]
    fn views_with_equal_progress_share_a_row() {
        let updates =
            [update(TOTALS, 0, 7), update(SEATS, 1, 7), update(SHOWS, 0, 5), update(SEATS, 0, 7), update(SHOWS, 1, 7)];
        let expected = [(0, "seats_g2,totals_g1", 7), (0, "shows_g1", 5), (1, "seats_g2,shows_g1", 7)];
        assert_eq!(
            names(&updates),
            expected.map(|(partition, names, position)| (partition, names.to_owned(), position))
        );
        assert!(names(&[]).is_empty());
    }

    #[test]
    fn the_last_update_of_the_largest_position_is_kept() {
        let mut last = update(SEATS, 0, 7);
        last.progress.next_offset.0 = 3;
        let groups = ViewGroup::of(&[update(SEATS, 0, 7), last.clone(), update(SEATS, 0, 6)]);
        assert_eq!(groups, [ViewGroup { partition: last.partition, views: vec![SEATS], progress: last.progress }]);
    }
}
