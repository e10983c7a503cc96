//! What this process knows of the ends of partitions, from what it was told was stored and where.

use diptych_kernel::{Partition, Partitions, Position};
use parking_lot::Mutex;

use crate::record::Tail;

/// One tail for each partition, as far as known.
#[derive(Debug)]
pub(crate) struct Tails(Mutex<Vec<Option<Tail>>>);

impl Tails {
    pub(crate) fn new(partitions: Partitions) -> Self {
        Self(Mutex::new(vec![None; usize::from(partitions.count())]))
    }

    pub(crate) fn of(&self, partition: Partition) -> Option<Tail> {
        self.0.lock().get(partition.index()).copied().flatten()
    }

    /// A record was stored at an offset: an event with its position, or a watermark.
    ///
    /// A watermark moves the tail on only where it stands right behind what is known: what others have put in between may be an event.
    pub(crate) fn acknowledged(&self, partition: Partition, offset: u64, event: Option<Position>) {
        let mut tails = self.0.lock();
        let Some(tail) = tails.get_mut(partition.index()) else { return };
        match (event, &mut *tail) {
            (Some(position), _) => *tail = Some(Tail { below: offset + 1, last_event: Some((offset, position)) }),
            (None, Some(known)) if known.below == offset => known.below += 1,
            // The topic was made anew, and what was known is of the old one.
            (None, Some(known)) if known.below > offset => *tail = None,
            (None, _) => {}
        }
    }

    /// The end of a partition was looked at.
    pub(crate) fn found(&self, partition: Partition, found: Tail) {
        let mut tails = self.0.lock();
        let Some(tail) = tails.get_mut(partition.index()) else { return };
        // An acknowledgement may have come in since.
        if tail.is_none_or(|known| known.below < found.below) {
            *tail = Some(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tails() -> Tails {
        Tails::new(Partitions::new(2).unwrap())
    }

    const PARTITION: fn() -> Partition = || Partition::new(1);

    fn at(number: i64) -> Position {
        Position::from_i64(number).unwrap()
    }

    #[test]
    fn an_event_is_the_last_one_until_the_next() {
        let tails = tails();
        tails.acknowledged(PARTITION(), 4, Some(at(70)));
        tails.acknowledged(PARTITION(), 5, None);
        tails.acknowledged(PARTITION(), 6, None);
        assert_eq!(tails.of(PARTITION()), Some(Tail { below: 7, last_event: Some((4, at(70))) }));
        assert_eq!(tails.of(Partition::new(0)), None);
        tails.acknowledged(PARTITION(), 7, Some(at(71)));
        assert_eq!(tails.of(PARTITION()), Some(Tail { below: 8, last_event: Some((7, at(71))) }));
    }

    #[test]
    fn a_gap_is_not_vouched_for() {
        let tails = tails();
        tails.acknowledged(PARTITION(), 3, None);
        assert_eq!(tails.of(PARTITION()), None, "what is before it was never looked at");
        tails.found(PARTITION(), Tail { below: 4, last_event: None });
        tails.acknowledged(PARTITION(), 9, None);
        assert_eq!(tails.of(PARTITION()), Some(Tail { below: 4, last_event: None }));
    }

    #[test]
    fn a_topic_made_anew_is_noticed() {
        let tails = tails();
        tails.acknowledged(PARTITION(), 90, Some(at(70)));
        tails.acknowledged(PARTITION(), 0, None);
        assert_eq!(tails.of(PARTITION()), None);
    }

    #[test]
    fn an_older_look_changes_nothing() {
        let tails = tails();
        tails.acknowledged(PARTITION(), 4, Some(at(70)));
        tails.found(PARTITION(), Tail { below: 4, last_event: None });
        assert_eq!(tails.of(PARTITION()), Some(Tail { below: 5, last_event: Some((4, at(70))) }));
    }
}
