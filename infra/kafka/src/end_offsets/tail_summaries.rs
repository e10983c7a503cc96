//! Summaries of the end of each partition, learnt from acknowledged records and from reads of the ends.

use diptych_kernel::{Partition, Partitions, Position};
use parking_lot::Mutex;

use crate::record::TailSummary;

/// The tail summary of each partition, where known.
#[derive(Debug)]
pub(crate) struct TailSummaries(Mutex<Vec<Option<TailSummary>>>);

impl TailSummaries {
    pub(crate) fn new(partitions: Partitions) -> Self {
        Self(Mutex::new(vec![None; usize::from(partitions.count())]))
    }

    pub(crate) fn of(&self, partition: Partition) -> Option<TailSummary> {
        self.0.lock().get(partition.index()).copied().flatten()
    }

    /// Records that a record was stored at an offset: an event, given its position, or a watermark.
    ///
    /// A watermark extends the summary only if it directly follows it: a record that another appender has written in
    /// between may be an event.
    pub(crate) fn record_acknowledged(&self, partition: Partition, offset: u64, event: Option<Position>) {
        let mut tails = self.0.lock();
        let Some(tail) = tails.get_mut(partition.index()) else { return };
        match (event, &mut *tail) {
            (Some(position), _) => {
                *tail = Some(TailSummary { end_exclusive: offset + 1, last_event: Some((offset, position)) });
            }
            (None, Some(known)) if known.end_exclusive == offset => known.end_exclusive += 1,
            // The topic was created again, and the summary is about the old one.
            (None, Some(known)) if known.end_exclusive > offset => *tail = None,
            (None, _) => {}
        }
    }

    /// Records what a read of the end of a partition has found.
    pub(crate) fn record_end(&self, partition: Partition, found: TailSummary) {
        let mut tails = self.0.lock();
        let Some(tail) = tails.get_mut(partition.index()) else { return };
        // An acknowledgement may have arrived since.
        if tail.is_none_or(|known| known.end_exclusive < found.end_exclusive) {
            *tail = Some(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tails() -> TailSummaries {
        TailSummaries::new(Partitions::new(2).unwrap())
    }

    const PARTITION: fn() -> Partition = || Partition::new(1);

    fn position(number: i64) -> Position {
        Position::from_i64(number).unwrap()
    }

    #[test]
    fn an_event_is_the_last_one_until_the_next() {
        let tails = tails();
        tails.record_acknowledged(PARTITION(), 4, Some(position(70)));
        tails.record_acknowledged(PARTITION(), 5, None);
        tails.record_acknowledged(PARTITION(), 6, None);
        assert_eq!(tails.of(PARTITION()), Some(TailSummary { end_exclusive: 7, last_event: Some((4, position(70))) }));
        assert_eq!(tails.of(Partition::new(0)), None);
        tails.record_acknowledged(PARTITION(), 7, Some(position(71)));
        assert_eq!(tails.of(PARTITION()), Some(TailSummary { end_exclusive: 8, last_event: Some((7, position(71))) }));
    }

    #[test]
    fn a_watermark_behind_unread_records_does_not_extend_the_summary() {
        let tails = tails();
        tails.record_acknowledged(PARTITION(), 3, None);
        assert_eq!(tails.of(PARTITION()), None, "the records before it were never read");
        tails.record_end(PARTITION(), TailSummary { end_exclusive: 4, last_event: None });
        tails.record_acknowledged(PARTITION(), 9, None);
        assert_eq!(tails.of(PARTITION()), Some(TailSummary { end_exclusive: 4, last_event: None }));
    }

    #[test]
    fn a_recreated_topic_resets_the_summary() {
        let tails = tails();
        tails.record_acknowledged(PARTITION(), 90, Some(position(70)));
        tails.record_acknowledged(PARTITION(), 0, None);
        assert_eq!(tails.of(PARTITION()), None);
    }

    #[test]
    fn an_older_read_changes_nothing() {
        let tails = tails();
        tails.record_acknowledged(PARTITION(), 4, Some(position(70)));
        tails.record_end(PARTITION(), TailSummary { end_exclusive: 4, last_event: None });
        assert_eq!(tails.of(PARTITION()), Some(TailSummary { end_exclusive: 5, last_event: Some((4, position(70))) }));
    }
}
