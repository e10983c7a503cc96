//! Views of a partition that have got equally far, as the row of the table in which they are saved together.

use std::collections::BTreeMap;

use diptych_kernel::{
    Partition,
    domain::ViewId,
    ports::{PortError, PortResult, Progress, ProgressUpdate},
};

/// Between the names of views, none of which has one.
pub(super) const SEPARATOR: char = ',';

/// Views that have got equally far in a partition.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Together {
    pub(super) partition: Partition,
    /// In order.
    pub(super) views: Vec<ViewId>,
    pub(super) progress: Progress,
}

impl Together {
    /// What is saved of these updates, each view and partition once, as if they had been saved one after the other.
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
            // Those of the partition stand at the end, and they are few.
            let mut of_partition = all.iter_mut().rev().take_while(|together| together.partition == partition);
            match of_partition.find(|together| together.progress == *progress) {
                Some(together) => together.views.push(view),
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
        let row = |together: Together| {
            (together.partition.number(), together.views_column(), together.progress.position.as_i64())
        };
        Together::of(updates).into_iter().map(row).collect()
    }

    #[test]
    fn those_that_have_got_equally_far_share_a_row() {
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
    fn the_last_one_of_the_largest_position_counts() {
        let mut last = update(SEATS, 0, 7);
        last.progress.next_offset.0 = 3;
        let together = Together::of(&[update(SEATS, 0, 7), last.clone(), update(SEATS, 0, 6)]);
        assert_eq!(together, [Together { partition: last.partition, views: vec![SEATS], progress: last.progress }]);
    }
}
